"""Hints on their way to the recorder: gathered, bounded, and dropped rather than waited for."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace

from services.kit.errors import ArtlabError
from services.kit.ids import RunId
from services.kit.log import facts
from services.orchestrator.claims import ClaimLost
from services.orchestrator.domain.run import RenderPreview, RenderProgress
from services.orchestrator.ports import (
    Hint,
    PreviewHint,
    Recorder,
    RenderHint,
    TextHint,
    WritingHint,
)

log = logging.getLogger(__name__)

# Twenty batches a second are as smooth as a person can see.
INTERVAL_SECONDS = 0.05
MAX_WAITING = 500
BATCH = 100


class HintSender:
    """Sends the hints of one run. `forward` runs until cancelled; adding never waits."""

    def __init__(self, run_id: RunId, recorder: Recorder) -> None:
        self._run_id = run_id
        self._recorder = recorder
        self._waiting: deque[Hint] = deque(maxlen=MAX_WAITING)
        self._wake = asyncio.Event()

    def text(self, entity_type: str, pass_number: int, offset: int, text: str) -> None:
        """Say that text has grown."""
        last = self._waiting[-1] if self._waiting else None
        if (
            isinstance(last, TextHint)
            and (last.entity_type, last.pass_number) == (entity_type, pass_number)
            and last.offset + len(last.text) == offset
        ):
            self._waiting[-1] = TextHint(entity_type, pass_number, last.offset, last.text + text)
        else:
            self._waiting.append(TextHint(entity_type, pass_number, offset, text))
        self._wake.set()

    def place(self, entity_type: str, position: int, output_index: int = 0) -> None:
        """Say where a text stands in the line before its model; 0 once its turn has come."""
        last = self._waiting[-1] if self._waiting else None
        hint = WritingHint(entity_type, position, output_index)
        if isinstance(last, WritingHint) and replace(last, position=position) == hint:
            self._waiting.pop()
        self._waiting.append(hint)
        self._wake.set()

    def render(self, output_index: int, progress: RenderProgress) -> None:
        """Say where a media job stands; a newer word replaces one not yet sent."""
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, RenderHint) and last.output_index == output_index:
            self._waiting.pop()
        self._waiting.append(RenderHint(output_index, progress))
        self._wake.set()

    def preview(self, output_index: int, preview: RenderPreview) -> None:
        """Show a picture as it grows; only the newest is worth sending."""
        older = [hint for hint in self._waiting if isinstance(hint, PreviewHint)]
        for hint in older:
            self._waiting.remove(hint)
        self._waiting.append(PreviewHint(output_index, preview))
        self._wake.set()

    async def forward(self) -> None:
        """Send what waits, at most twenty times a second, until cancelled."""
        while True:
            await self._wake.wait()
            if all(isinstance(hint, TextHint) for hint in self._waiting):
                # A text that is recorded within a moment need not be told as it grows.
                await asyncio.sleep(INTERVAL_SECONDS)
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                try:
                    await self._recorder.publish(self._run_id, batch)
                except ArtlabError as error:
                    # A hint is worth nothing later; the facts will tell.
                    log.debug("hints dropped", extra=facts(reason=error.reason, count=len(batch)))
                except ClaimLost:
                    return  # somebody else tells now
            await asyncio.sleep(INTERVAL_SECONDS)
