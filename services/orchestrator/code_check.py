"""After the sketch: what a renderer wrote is judged as a text before anybody sees it.

A model may write what nobody asked for, and a sketch shows its words. A text that is the very one
that was checked before it was rendered is not judged twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from services.kit.errors import FailedPrecondition
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import Purpose, RecordedEntity, Verdict
from services.orchestrator.run_in_work import RunInWork, digest_of

MAX_BYTES = 1024 * 1024
# One check takes 20 000 characters and 64 KiB; what is cut in two is whole in the next piece.
PIECE_CHARACTERS = 16_000
OVERLAP_CHARACTERS = 500


class CodeCheck:
    """The reading of one output. `checked` is the text it was made of."""

    def __init__(self, run: RunInWork, output: PlannedOutput, checked: str) -> None:
        self._run = run
        self._output = output
        self._known = digest_of(checked)

    async def recorded_refusal(self, made: list[RecordedEntity]) -> Verdict | None:
        """Return the no that is recorded, if any, and do what was left to do after it."""
        del made
        evidence = self._evidence()
        no = await self._run.record.refusal(evidence)
        if evidence is not None and no is not None:
            await self._run.journal.explain(
                self._upload,
                no,
                stage=4,
                output_index=self._output.index,
                attempt=evidence.attempt,
            )
        return no

    async def was_made(self, made: list[RecordedEntity]) -> bool:
        """Whether nothing of these files is left to be judged."""
        return not self._written(made) or self._evidence() is not None

    @property
    def is_needed(self) -> bool:
        """Whether it may have something to read."""
        return self._output.is_written

    async def make(self, made: list[RecordedEntity]) -> Verdict | None:
        """Have all that is written judged; return the verdict that says no, if any.

        Raises an ArtlabError when that could not be done: nothing of the output may be shown then.
        """
        run, output = self._run, self._output
        if await self.was_made(made):
            return None
        await run.journal.stage(4, f"{output.kind}_check", output.index)
        began, verdicts = run.journal.begin(), list[Verdict]()
        purpose: Purpose = "code" if output.kind == "code" else "interception"
        for entity in self._written(made):
            data = await run.steady(partial(_read, run, entity.sequence))
            for piece in _pieces(data.decode(errors="replace")):
                verdict = await run.verdict(purpose, piece)
                verdicts.append(replace(verdict, sequence=entity.sequence))
                if not verdict.safe:
                    break
            if verdicts and not verdicts[-1].safe:
                break
        if not verdicts:
            return None
        await run.journal.verdicts(
            self._upload,
            "safety_output",
            verdicts,
            began,
            stage=4,
            output_index=output.index,
        )
        return None if verdicts[-1].safe else verdicts[-1]

    @property
    def _upload(self) -> str:
        return f"output-{self._output.index}-{self._output.kind}-safety"

    def _evidence(self) -> RecordedEntity | None:
        return self._run.record.find("safety_output", stage=4, output_index=self._output.index)

    def _written(self, made: list[RecordedEntity]) -> list[RecordedEntity]:
        if not self._output.is_written:
            return []
        return [one for one in made if one.sha256 != self._known]


async def _read(run: RunInWork, sequence: int) -> bytes:
    data = bytearray()
    async for chunk in run.services.recorder.read(run.plan.run_id, sequence):
        data += chunk
        if len(data) > MAX_BYTES:
            raise FailedPrecondition("MEDIA_TOO_LARGE", f"a text may have {MAX_BYTES} bytes")
    return bytes(data)


def _pieces(text: str) -> Iterator[str]:
    step = PIECE_CHARACTERS - OVERLAP_CHARACTERS
    for start in range(0, max(len(text) - OVERLAP_CHARACTERS, 1), step):
        piece = text[start : start + PIECE_CHARACTERS]
        if piece.strip():
            yield piece
