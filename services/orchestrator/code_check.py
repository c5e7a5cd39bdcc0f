"""After the sketch: what a renderer wrote is judged as a text before anybody sees it.

A model may write what nobody asked for, and a sketch shows its words. A text that is the very one
that was checked before it was rendered is not judged twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from services.kit.errors import FailedPrecondition
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import Purpose, Verdict
from services.orchestrator.image_check import made_of
from services.orchestrator.run_in_work import RunInWork

MAX_BYTES = 1024 * 1024
# One check takes 20 000 characters and 64 KiB; what is cut in two is whole in the next piece.
PIECE_CHARACTERS = 16_000
OVERLAP_CHARACTERS = 500


async def read_through(run: RunInWork, output: PlannedOutput, checked: str) -> Verdict | None:
    """Have all that is written in an output judged; return the verdict that says no, if any.

    `checked` is the text it was made of.

    Raises an ArtlabError when that could not be done: nothing of the output may be shown then.
    """
    if not output.is_written:
        return None
    known = hashlib.sha256(checked.encode()).hexdigest()
    written = [one for one in await made_of(run, output) if one.sha256 != known]
    if not written:
        return None
    await run.journal.stage(4, f"{output.kind}_check", output.index)
    began, verdicts = run.journal.begin(), list[Verdict]()
    purpose: Purpose = "code" if output.kind == "code" else "interception"
    for entity in written:
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
        f"output-{output.index}-{output.kind}-safety",
        "safety_output",
        verdicts,
        began,
        stage=4,
        output_index=output.index,
    )
    return None if verdicts[-1].safe else verdicts[-1]


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
