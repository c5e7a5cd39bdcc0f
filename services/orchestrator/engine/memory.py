"""What an executor remembers of the steps it did, so that another one goes on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from services.orchestrator.engine.step import Attempt, JsonObject


class Memory(Protocol):
    """Keeps how steps ended, under (step, iteration, output_index).

    What is kept is a JSON document of the engine's, at least with `status` and `output`; an adapter
    gives it back as it was. Steps that find what they did themselves (`Remembering`) are kept here
    only when they fell back or failed and the pipeline went on from that.

    An error of either call ends the executor: it is the driver's, not the step's.
    """

    async def recall(self, step: str, iteration: int, output_index: int) -> JsonObject | None:
        """Return what was kept, or None. Raises ArtlabError when it cannot be told."""
        ...

    async def remember(
        self,
        step: str,
        iteration: int,
        output_index: int,
        output: JsonObject,
        attempts: tuple[Attempt, ...],
    ) -> None:
        """Keep how a step ended; the same again changes nothing. Raises ArtlabError."""
        ...


Key = tuple[str, int, int]


class InMemory:
    """Remembers for as long as it lives: for tests, and for runs on the command line."""

    def __init__(self, kept: Mapping[Key, JsonObject] | None = None) -> None:
        self.kept: dict[Key, JsonObject] = dict(kept or {})

    async def recall(self, step: str, iteration: int, output_index: int) -> JsonObject | None:
        """Return what was kept, or None."""
        return self.kept.get((step, iteration, output_index))

    async def remember(
        self,
        step: str,
        iteration: int,
        output_index: int,
        output: JsonObject,
        attempts: tuple[Attempt, ...],
    ) -> None:
        """Keep how a step ended."""
        self.kept[step, iteration, output_index] = output
