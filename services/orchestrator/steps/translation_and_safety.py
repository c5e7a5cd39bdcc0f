"""Stage 1: what a person typed is checked, translated, and checked again.

Nothing unchecked reaches a model: not what was typed, not the person's own rules, not a text for a
slot of an output, not a translation.
"""

from __future__ import annotations

from services.kit.errors import ArtlabError
from services.orchestrator.domain.documents import blocking
from services.orchestrator.domain.run import Purpose, RecordedEntity, Verdict
from services.orchestrator.engine.step import JsonObject, StepScope
from services.orchestrator.journal import Began
from services.orchestrator.run_in_work import Blocked, RunInWork
from services.orchestrator.steps.passes import TRANSLATION, one_pass, seam, told_of
from services.orchestrator.steps.place import Place, place_of, run_of, text_in

TYPE = "translation_and_safety"


class TranslationAndSafety:
    """Takes `text`; gives the `text` to go on with, in English if the recipe wants that."""

    TAKES = frozenset({"text"})
    GIVES = frozenset({"text"})

    async def restore(self, inputs: JsonObject, scope: StepScope) -> JsonObject | None:
        """Return the text that was found safe before. Raises Blocked for a recorded no."""
        run, place, text = run_of(scope), place_of(scope, TYPE), text_in(inputs, scope)
        evidence = _evidence(run, place)
        if not evidence:
            return None
        verdicts = await run.record.verdicts(evidence[-1])
        no = blocking(verdicts)
        if no is not None:
            await run.journal.explain(
                _upload(place, len(evidence)),
                no,
                stage=1,
                metadata=place.marks,
                attempt=evidence[-1].attempt,
            )
            raise Blocked(1, no)
        translation = await _translation(run, place)
        if [one.purpose for one in verdicts] != _purposes(run, text, translation):
            # Who recorded them could not make the others.
            return None
        return _given(run, text if translation is None else translation)

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Check, translate, check. Raises Blocked, or an ArtlabError when one was not possible."""
        run, place, text = run_of(scope), place_of(scope, TYPE), text_in(inputs, scope)
        context = run.plan.request.context
        await run.journal.stage(1, scope.step)
        began = run.journal.begin()
        await run.know_language()
        verdicts: list[Verdict] = []
        result = text
        try:
            await run.check(1, verdicts, "input", text)
            if context:
                await run.check(1, verdicts, "context", context)
                await run.check(1, verdicts, "context", seam(context, text))
            for slot_text in run.plan.slot_texts:
                await run.check(1, verdicts, "context", slot_text)
                await run.check(1, verdicts, "context", seam(slot_text, text))
            if run.plan.recipe.translates_input:
                result = await self._translate(run, place, text, verdicts)
        except Blocked:
            await _record(run, place, verdicts, began)
            raise
        except ArtlabError:
            # What was found out before stays as evidence, once.
            if verdicts and not _evidence(run, place):
                await _record(run, place, verdicts, began)
            raise
        await _record(run, place, verdicts, began, with_next=True)
        return _given(run, result)

    async def _translate(
        self, run: RunInWork, place: Place, original: str, verdicts: list[Verdict]
    ) -> str:
        known = await _translation(run, place)
        if known is not None:
            await _check_translation(run, original, known, verdicts)
            return known
        began = run.journal.begin()
        result = await one_pass(run, TRANSLATION, "translation", original)
        blocked: Blocked | None = None
        try:
            await _check_translation(run, original, result.text, verdicts)
        except Blocked as no:
            blocked = no
        await run.journal.text(
            place.upload("translation"),
            "translation",
            result.text,
            began,
            stage=1,
            audience="research" if blocked else "advanced",
            metadata={
                **told_of(run, result),
                "translated": "true" if result.translated else "false",
                **place.marks,
            },
            models=[result.used],
            attempt=result.attempt,
            # With the verdict on it, which is known as well.
            with_next=True,
        )
        if blocked is not None:
            raise blocked
        return result.text


async def _check_translation(
    run: RunInWork, original: str, translation: str, verdicts: list[Verdict]
) -> None:
    if translation == original:
        return
    await run.check(1, verdicts, "translation", translation)
    if run.plan.request.context:
        joined = seam(run.plan.request.context, translation)
        await run.check(1, verdicts, "context", joined)


async def _translation(run: RunInWork, place: Place) -> str | None:
    entity = run.record.find("translation", marks=place.marks)
    return None if entity is None else await run.record.text(entity)


def _purposes(run: RunInWork, text: str, translation: str | None) -> list[Purpose] | None:
    # What is asked when nothing goes wrong; None when it cannot have been asked yet.
    given = len(run.plan.slot_texts) + (1 if run.plan.request.context else 0)
    purposes: list[Purpose] = ["input"]
    purposes += ["context", "context"] * given
    if run.plan.recipe.translates_input:
        if translation is None:
            return None
        if translation != text:
            purposes.append("translation")
            purposes += ["context"] if run.plan.request.context else []
    return purposes


def _evidence(run: RunInWork, place: Place) -> list[RecordedEntity]:
    return list(run.record.all("safety", stage=1, marks=place.marks))


async def _record(
    run: RunInWork, place: Place, verdicts: list[Verdict], began: Began, *, with_next: bool = False
) -> None:
    upload = _upload(place, len(_evidence(run, place)) + 1)
    await run.journal.verdicts(
        upload, "safety", verdicts, began, stage=1, metadata=place.marks, with_next=with_next
    )


def _upload(place: Place, number: int) -> str:
    # A second one stands beside evidence of checks that could not all be made.
    return place.upload("safety" if number == 1 else "safety-again")


def _given(run: RunInWork, text: str) -> JsonObject:
    context = run.plan.request.context
    run.mark_checked(text, *([context, seam(context, text)] if context else []))
    return {"text": text}
