"""A translation of any text into English, for pipelines that need one elsewhere than in stage 1."""

from __future__ import annotations

from services.orchestrator.engine.step import JsonObject, StepScope
from services.orchestrator.record import ITERATION, STEP
from services.orchestrator.run_in_work import RunInWork
from services.orchestrator.steps.check_text import check_and_record, recall_check
from services.orchestrator.steps.passes import TRANSLATION, one_pass, told_of
from services.orchestrator.steps.place import run_of, text_in, upload_word

TYPE = "translate"


class Translate:
    """Takes `text`; gives the `text` in English.

    A text that nobody has checked is checked before, and what comes of it is checked after: nothing
    unchecked reaches a model or goes on.
    """

    TAKES = frozenset({"text"})
    GIVES = frozenset({"text"})

    async def restore(self, inputs: JsonObject, scope: StepScope) -> JsonObject | None:
        """Return the translation that was found safe. Raises Blocked for a recorded no."""
        run, text = run_of(scope), text_in(inputs, scope)
        await recall_check(run, scope, text)
        known = await _recorded(run, scope)
        if known is None:
            return None
        return {"text": text} if known == text else await recall_check(run, scope, known)

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Check, translate, check. Raises Blocked, or an ArtlabError when one was not possible."""
        run, text = run_of(scope), text_in(inputs, scope)
        stage = max(1, run.journal.stages.get(scope.output_index, run.journal.stage_now))
        await run.journal.stage(stage, scope.step, scope.output_index)
        if not run.is_checked(text):
            await check_and_record(run, scope, stage, text, "input")
        known = await _recorded(run, scope)
        if known is None:
            known = await _translate(run, scope, stage, text)
        if known != text:
            await check_and_record(run, scope, stage, known, "translation")
        return {"text": known}


async def _translate(run: RunInWork, scope: StepScope, stage: int, text: str) -> str:
    began = run.journal.begin()
    await run.know_language()
    result = await one_pass(run, TRANSLATION, "translation", text)
    about = f"-{scope.output_index}" if scope.output_index else ""
    await run.journal.text(
        f"translation-{upload_word(scope.step)}-{scope.iteration}{about}",
        "translation",
        result.text,
        began,
        stage=stage,
        # Nobody has checked it yet.
        audience="research",
        metadata={
            **told_of(run, result),
            "translated": "true" if result.translated else "false",
            STEP: scope.step,
            ITERATION: str(scope.iteration),
        },
        models=[result.used],
        attempt=result.attempt,
        output_index=scope.output_index,
    )
    return result.text


async def _recorded(run: RunInWork, scope: StepScope) -> str | None:
    marks = {STEP: scope.step, ITERATION: str(scope.iteration)}
    found = run.record.find("translation", marks=marks, output_index=scope.output_index)
    return None if found is None else await run.record.text(found)
