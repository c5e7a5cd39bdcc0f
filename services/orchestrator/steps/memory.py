"""What steps gave that leave nothing else behind, kept in the record for who goes on."""

from __future__ import annotations

from services.orchestrator.domain.recorded_documents import step_output_of
from services.orchestrator.engine.step import Attempt, JsonObject
from services.orchestrator.record import ITERATION, STEP
from services.orchestrator.run_in_work import RunInWork
from services.orchestrator.steps.place import upload_word


class RecordedMemory:
    """Implements engine.memory.Memory with entities of type step_output."""

    def __init__(self, run: RunInWork) -> None:
        self._run = run

    async def recall(self, step: str, iteration: int, output_index: int) -> JsonObject | None:
        """Return what was kept, or None. Raises ArtlabError when it cannot be read."""
        marks = {STEP: step, ITERATION: str(iteration)}
        found = self._run.record.find("step_output", output_index=output_index, marks=marks)
        if found is None:
            return None
        return step_output_of(await self._run.record.bytes(found))

    async def remember(
        self,
        step: str,
        iteration: int,
        output_index: int,
        output: JsonObject,
        attempts: tuple[Attempt, ...],
    ) -> None:
        """Record how a step ended. Raises ArtlabError."""
        about = f"-output-{output_index}" if output_index else ""
        upload = f"step-{upload_word(step)}-{iteration}{about}"
        await self._run.journal.step_output(upload, step, iteration, output_index, output, attempts)
