"""Translations remembered for the length of a run.

A run that asks twice (a repeated step, two branches of a pipeline) gets the same words and does not
wait again. Nothing is shared between runs: what one person wrote must not be found by another.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from services.interception.domain.writing import WritingTask
from services.interception.ports import Waiting, Writer, Written
from services.kit.clock import Clock

MAX_KEPT = 256
KEPT_SECONDS = 600.0

Key = tuple[str, ...]


class Translations:
    """The last ones, each for ten minutes.

    By run, person, text, languages, the recipe's name and words, and who wrote.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[Key, tuple[float, Written]] = OrderedDict()

    def find(self, key: Key) -> Written | None:
        """What was kept, or None."""
        until, written = self._kept.get(key, (0.0, None))
        if written is None or self._clock.monotonic() >= until:
            self._kept.pop(key, None)
            return None
        self._kept.move_to_end(key)
        return written

    def keep(self, key: Key, written: Written) -> None:
        """Keep one; the one that was used longest ago makes room."""
        self._kept[key] = (self._clock.monotonic() + KEPT_SECONDS, written)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)


class RememberingWriter:
    """Writes by another writer what was not written in this run before."""

    def __init__(self, writer: Writer, translations: Translations) -> None:
        self.name = writer.name
        self._writer = writer
        self._translations = translations

    async def write(self, task: WritingTask) -> AsyncGenerator[str | Waiting | Written, None]:
        """See `Writer`. What is remembered says so: parameter `cached`."""
        key: Key = (
            task.run_id,
            task.user_id,
            task.text,
            task.from_language,
            task.to_language,
            task.name,
            *(text for each in sorted(task.context.items()) for text in each),
            self.name,
        )
        kept = self._translations.find(key)
        if kept is not None:
            yield kept.text
            yield replace(kept, parameters={**kept.parameters, "cached": "true"})
            return
        async with aclosing(self._writer.write(task)) as updates:
            async for update in updates:
                if isinstance(update, Written):
                    self._translations.keep(key, update)
                yield update
