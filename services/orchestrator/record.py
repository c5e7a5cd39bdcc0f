"""What is recorded of a run, as far as its driver knows: what was there, what it wrote since."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol, TypeVar, cast

from services.kit.errors import DataLoss
from services.kit.ids import RunId
from services.orchestrator.domain.documents import blocking
from services.orchestrator.domain.outcome import End
from services.orchestrator.domain.recorded_documents import verdicts_of
from services.orchestrator.domain.run import FinalState, RecordedEntity, RecordedRun, Verdict
from services.orchestrator.ports import Recorder

# Texts have 64 KiB, documents about them less than a few times that.
MAX_BYTES = 1024 * 1024
STEP, ITERATION = "step", "iteration"

T = TypeVar("T")


class Steadily(Protocol):
    """Makes a call, and again while the recorder is away for a moment."""

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what the call returned."""
        ...


class Record:
    """The entities of one run, found by what they are.

    Args:
        run_id: which run.
        recorder: where their bytes are.
        recorded: the run as it stood when driving began; None for a new one.
        steadily: how its bytes are asked for.
    """

    def __init__(
        self,
        run_id: RunId,
        recorder: Recorder,
        recorded: RecordedRun | None,
        steadily: Steadily,
    ) -> None:
        self._run_id = run_id
        self._recorder = recorder
        self._steadily = steadily
        self._entities = {one.sequence: one for one in recorded.entities} if recorded else {}
        # Verdicts this process recorded itself; they need not be read back.
        self._verdicts: dict[int, tuple[Verdict, ...]] = {}
        # How outputs ended.
        self.ends: dict[int, End] = {}
        for output in recorded.outputs if recorded else ():
            if output.is_final:
                self.ends[output.index] = End(cast("FinalState", output.state), output.error)

    def add(self, entity: RecordedEntity, verdicts: tuple[Verdict, ...] = ()) -> None:
        """Keep what was just recorded, or what is known newer of it."""
        self._entities[entity.sequence] = entity
        if verdicts:
            self._verdicts[entity.sequence] = verdicts

    def all(
        self,
        entity_type: str,
        *,
        stage: int | None = None,
        output_index: int | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> Iterator[RecordedEntity]:
        """Yield entities of a type in their order.

        `marks` are the metadata that tell by which step it was made, see `steps.place`; none for
        those of a step that needs none.
        """
        for entity in list(self._entities.values()):
            if (
                entity.type == entity_type
                and stage in (None, entity.stage)
                and output_index in (None, entity.output_index)
                and marks_of(entity.metadata) == (marks or {})
            ):
                yield entity

    def every(self, entity_type: str, output_index: int) -> list[RecordedEntity]:
        """Return those of a type about an output, by whichever step they were made."""
        return [
            one
            for one in self._entities.values()
            if one.type == entity_type and one.output_index == output_index
        ]

    def find(
        self,
        entity_type: str,
        *,
        stage: int | None = None,
        output_index: int | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> RecordedEntity | None:
        """Return the newest of a type, None without any."""
        found = list(self.all(entity_type, stage=stage, output_index=output_index, marks=marks))
        return found[-1] if found else None

    def made(self, output_index: int) -> list[RecordedEntity]:
        """The files of an output that are known here, in order."""
        return [
            one
            for one in self._entities.values()
            if one.output_index == output_index and one.type.startswith("output_")
        ]

    def input_images(self) -> list[int]:
        """Sequences of the pictures a person brought, in the order of their indices."""
        there = {one.metadata.get("index", ""): one.sequence for one in self.all("input_image")}
        return [there[index] for index in sorted(there)]

    async def text(self, entity: RecordedEntity) -> str:
        """Return a recorded text. Raises what the recorder raises, DataLoss for no text."""
        return (await self.bytes(entity)).decode()

    async def verdicts(self, entity: RecordedEntity) -> tuple[Verdict, ...]:
        """Return what a recorded check said. Raises what the recorder and the document raise."""
        known = self._verdicts.get(entity.sequence)
        if known is None:
            known = self._verdicts[entity.sequence] = verdicts_of(await self.bytes(entity))
        return known

    async def refusal(self, entity: RecordedEntity | None) -> Verdict | None:
        """Return the verdict that said no, None when there is none."""
        return None if entity is None else blocking(await self.verdicts(entity))

    async def bytes(self, entity: RecordedEntity) -> bytes:
        """Return the bytes of a text or document. Raises DataLoss RECORD_NOT_UNDERSTOOD."""

        async def read() -> bytes:
            data = bytearray()
            async for chunk in self._recorder.read(self._run_id, entity.sequence):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise DataLoss("RECORD_NOT_UNDERSTOOD", "a recorded document is too large")
            return bytes(data)

        return await self._steadily(read)


def marks_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """What in an entity's metadata tells by which step it was made."""
    return {key: metadata[key] for key in (STEP, ITERATION) if key in metadata}
