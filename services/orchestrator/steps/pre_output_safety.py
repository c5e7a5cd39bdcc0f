"""Stage 3: for each output, the very texts its renderer will get are checked.

The verdict says by digest of which text it is, so that no other one can pass for it. A text that no
step wrote, as one that a template put together, is recorded as `media_prompt`.
"""

from __future__ import annotations

from services.orchestrator.domain.documents import blocking
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.questions import decision_of
from services.orchestrator.domain.run import RecordedEntity, Verdict
from services.orchestrator.engine.step import JsonObject, StepScope
from services.orchestrator.run_in_work import Blocked, RunInWork, digest_of
from services.orchestrator.steps.passes import seam
from services.orchestrator.steps.place import Place, output_of, place_of, run_of, text_in

TYPE = "pre_output_safety"
TEXT_SHA256 = "text_sha256"
_TEXTS = ("input", "translation", "interception", "interception_pass", "media_prompt")


class PreOutputSafety:
    """Takes `text`; gives the same `text`, which may go to the renderer of the output."""

    TAKES = frozenset({"text"})
    GIVES = frozenset({"text"})

    async def restore(self, inputs: JsonObject, scope: StepScope) -> JsonObject | None:
        """Return the text when it was found safe before. Raises Blocked for a recorded no."""
        run, place, text = run_of(scope), place_of(scope, TYPE), text_in(inputs, scope)
        output = output_of(scope, run)
        evidence = evidence_for(run, output, text)
        if evidence is None:
            return None
        no = blocking(await run.record.verdicts(evidence))
        if no is not None:
            await run.journal.explain(
                _upload(place, output),
                no,
                stage=3,
                output_index=output.index,
                metadata=place.marks,
                attempt=evidence.attempt,
            )
            raise Blocked(3, no)
        return {"text": text}

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Check the texts of one output. Raises Blocked, or an ArtlabError for no answer."""
        run, place, text = run_of(scope), place_of(scope, TYPE), text_in(inputs, scope)
        output = output_of(scope, run)
        began = run.journal.begin()
        await run.journal.stage(3, scope.step, output.index)
        if not await _is_recorded(run, output, text):
            await run.journal.text(
                place.upload(f"output-{output.index}-prompt"),
                "media_prompt",
                text,
                began,
                stage=3,
                audience="advanced",
                output_index=output.index,
                metadata=place.marks,
            )
        verdicts: list[Verdict] = []
        # As "context" a text for a slot may name what a renderer must not draw.
        slots = [one for given in output.slot_texts for one in (given, seam(given, text))]
        for one in (text, *slots):
            verdicts.append(await run.verdict("media_prompt", one, output.kind))
            if not verdicts[-1].safe:
                break
        await run.journal.verdicts(
            _upload(place, output),
            "safety_pre_output",
            verdicts,
            began,
            stage=3,
            output_index=output.index,
            metadata=place.marks,
            evidence={TEXT_SHA256: digest_of(text)},
            with_next=True,
        )
        if not verdicts[-1].safe:
            raise Blocked(3, verdicts[-1])
        return {"text": text}


def evidence_for(run: RunInWork, output: PlannedOutput, text: str) -> RecordedEntity | None:
    """Return what is recorded of the check of this very text for an output, by whichever step."""
    digest = digest_of(text)
    for entity in run.record.every("safety_pre_output", output.index):
        if entity.metadata.get(TEXT_SHA256) == digest:
            return entity
    return None


async def _is_recorded(run: RunInWork, output: PlannedOutput, text: str) -> bool:
    """Whether the text is one that somebody wrote on the way, or was made for this output only."""
    digest = digest_of(text)
    for index in (0, output.index):
        if any(one.sha256 == digest for kind in _TEXTS for one in run.record.every(kind, index)):
            return True
        for decided in run.record.every("decision", index):
            if decision_of(await run.record.bytes(decided)).text == text:
                return True
    return False


def _upload(place: Place, output: PlannedOutput) -> str:
    return place.upload(f"output-{output.index}-safety")
