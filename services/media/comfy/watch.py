"""What the websocket tells about one job, folded into one honest fraction."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from services.media.comfy.timeline import Timeline
from services.media.domain.pace import Paces, remaining_seconds
from services.media.domain.workflow import Workflow
from services.media.ports import Preview

_ENDINGS = {"execution_success", "execution_error", "execution_interrupted"}
# Two a second are enough to see a picture grow.
PREVIEW_SECONDS = 0.5
# No sampler has more; what counts bytes is no sampler.
MAX_STEPS = 1_000_000


class JobWatch:
    """The latest state of one job; events overwrite it, so a slow reader costs no memory.

    `ended` is a hint only: the history decides.

    Args:
        workflow: with the LoRAs chosen, as it was handed in.
        paces: what earlier jobs at this instance took.
        now: seconds of a monotonic clock.
    """

    def __init__(
        self,
        workflow: Workflow,
        paces: Paces | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.changed = asyncio.Event()
        self.ended = False
        self.started = False
        self.node = ""
        # What it told of its ending, for when the history has forgotten the job already.
        self.succeeded = False
        self.outputs: dict[str, Any] = {}
        self.timeline = Timeline()
        self._workflow = workflow
        self._paces = paces or Paces()
        self._pace = self._paces.of(workflow.name)
        self._now = now
        self._done: set[str] = set()
        self._cached: set[str] = set()
        self._parts: dict[str, float] = {}
        self._steps: dict[str, int] = {}
        # Until something is learned that changes it.
        self._weights: dict[str, float] | None = None
        self._fraction = 0.0
        self._preview: Preview | None = None
        self._previewed_at = float("-inf")

    @property
    def fraction(self) -> float:
        """0.0 to 1.0 of the nodes and sampler steps, by what they take; never goes back.

        What ComfyUI had in its cache is no work.
        """
        weights = self._weighed()
        total = sum(weights.values())
        done = sum(
            weight * (1.0 if node in self._done else self._parts.get(node, 0.0))
            for node, weight in weights.items()
        )
        reached = done / total if total > 0 else 1.0
        self._fraction = max(self._fraction, min(1.0, reached))
        return self._fraction

    def remaining_seconds(self, before: int) -> float | None:
        """Seconds until its end, from earlier jobs here; None without one.

        `before`: how many jobs run before it.
        """
        if not self._pace:
            return None
        usual = sum(self._weighed().values())
        typical = self._paces.typical_seconds
        waiting = before * typical if before and typical is not None else 0.0
        elapsed = self.timeline.elapsed_seconds(self._now())
        return waiting + remaining_seconds(usual, elapsed, self.fraction)

    @property
    def is_running(self) -> bool:
        """Begun and not known to have ended."""
        return self.started and not self.ended

    def wants_preview(self) -> bool:
        """Whether the last one is long enough ago; asking counts as taking one."""
        now = self._now()
        if now - self._previewed_at < PREVIEW_SECONDS:
            return False
        self._previewed_at = now
        return True

    def show(self, preview: Preview) -> None:
        """Keep a preview for whoever takes it next."""
        self._preview = preview
        self.changed.set()

    def take_preview(self) -> Preview | None:
        """The newest preview, once."""
        preview, self._preview = self._preview, None
        return preview

    def see(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take in one event of this job."""
        if kind in _ENDINGS:
            # An error of one blocked branch is not the end of the job; the history knows.
            self.ended = True
            self.succeeded = kind == "execution_success"
            self.timeline.enter("", self._now())
        elif kind == "execution_start":
            self.timeline.begin(self._now())
        elif kind == "executed":
            if _known(data.get("node")):
                self.outputs[str(data["node"])] = data.get("output")
        elif kind == "executing":
            self._executing(data.get("node"))
        elif kind == "execution_cached":
            nodes = data.get("nodes")
            self._cached.update(n for n in (nodes if isinstance(nodes, list) else []) if _known(n))
            self._weights = None
        elif kind == "progress":
            self._part(data.get("node"), data)
        elif kind == "progress_state":
            nodes = data.get("nodes")
            for key, state in (nodes if isinstance(nodes, dict) else {}).items():
                if isinstance(state, dict):
                    self._part(key, state)
        self.started = True
        self.changed.set()

    def close(self) -> None:
        """Remember what the job took, if all of it was seen and it ended well."""
        times = self.timeline.times(self._done - self._cached)
        if self.succeeded and times is not None:
            self._paces.add(self._workflow.name, times)

    def facts(self) -> dict[str, str]:
        """For the entity: what execution took, and how much of it was loading models."""
        times = self.timeline.times(self._done - self._cached)
        if not self.succeeded or times is None:
            return {}
        loading = sum(
            time.seconds for node, time in times.items() if self._workflow.loads_model(node)
        )
        # The first step of a sampler waits until the model is on the card.
        loading += sum(self.timeline.before_first_step(node) for node in times)
        executing = sum(time.seconds for time in times.values())
        return {
            "execution_seconds": f"{executing:.3f}",
            "model_load_seconds": f"{loading:.3f}",
        }

    def _weighed(self) -> dict[str, float]:
        """Seconds each node is expected to take; without earlier jobs their usual relation."""
        if self._weights is None:
            self._weights = self._weigh()
        return self._weights

    def _weigh(self) -> dict[str, float]:
        usual = {
            node: self._workflow.weight(node)
            for node in self._workflow.nodes
            if node not in self._cached
        }
        learned = {node: self._pace.seconds(node, self._steps.get(node)) for node in usual}
        known = {node: seconds for node, seconds in learned.items() if seconds is not None}
        weight_of_known = sum(usual[node] for node in known)
        scale = sum(known.values()) / weight_of_known if weight_of_known > 0 else 1.0
        return {node: known.get(node, weight * scale) for node, weight in usual.items()}

    def _executing(self, node: object) -> None:
        if node is None:
            self.ended = True
            self.timeline.enter("", self._now())
        elif _known(node):
            self.node = str(node).split(".", 1)[0]
            self.timeline.enter(self.node, self._now())

    def _part(self, node: object, state: Mapping[str, Any]) -> None:
        if not _known(node):
            return
        key = str(node)
        value, most = state.get("value"), state.get("max")
        if state.get("state") == "finished":
            self._done.add(key)
        elif isinstance(value, (int, float)) and isinstance(most, (int, float)) and most > 0:
            share = _share(value, most)
            # NaN fails both comparisons.
            if 0.0 <= share <= 1.0:
                self._parts[key] = share
                if 1 < most <= MAX_STEPS:
                    if self._steps.get(key) != int(most):
                        self._steps[key], self._weights = int(most), None
                    self.timeline.step(key, int(value), int(most), self._now())


def _share(value: float, most: float) -> float:
    try:
        return value / most
    except OverflowError:
        # JSON's whole numbers may be larger than any float.
        return math.nan


def _known(node: object) -> bool:
    # Nodes that a node expands into are called "5.0.0.1": they count as their origin's work.
    return isinstance(node, str) and len(node) <= 80
