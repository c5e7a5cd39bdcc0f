"""Stage 2: the text goes through the recipe, pass by pass.

The recipe says what each pass is given: the text of the one before, that of stage 1, or all so
far. What one pass hands to the next is checked between them, and so is a text that comes from
elsewhere than stage 1, and a recipe that somebody here wrote: nothing unchecked reaches a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.kit.errors import FailedPrecondition, Internal
from services.kit.text import MAX_TEXT_BYTES, MAX_TEXT_CHARACTERS
from services.orchestrator.domain.run import ModelUse, PassText, Purpose, RecordedEntity, Verdict
from services.orchestrator.engine.step import JsonObject, StepScope
from services.orchestrator.record import marks_of
from services.orchestrator.run_in_work import Blocked, RunInWork
from services.orchestrator.steps.passes import one_pass, seam, told_of
from services.orchestrator.steps.place import Place, place_of, run_of, text_in

TYPE = "interception"
# Said instead of what the check says: that speaks of the text of the person, who wrote another one.
_RECIPE_REFUSED = {
    "de": (
        "Es liegt nicht an deinem Text. Im Rezept steht etwas, das hier nicht erlaubt ist.",
        "Nimm ein anderes Rezept. Sag der Person Bescheid, die dieses geschrieben hat.",
    ),
    "en": (
        "Your text is not the reason. The recipe says something that is not allowed here.",
        "Choose another recipe. Tell the person who wrote this one.",
    ),
}


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a pass, just now or recorded."""

    number: int
    text: str
    metadata: Mapping[str, str]
    models: tuple[ModelUse, ...]
    attempt: int


class Interception:
    """Takes `text`; gives the `text` that the run's recipe made of it."""

    TAKES = frozenset({"text"})
    GIVES = frozenset({"text"})

    async def restore(self, inputs: JsonObject, scope: StepScope) -> JsonObject | None:
        """Return the text that was recorded. Raises Blocked for a recorded no between passes."""
        run, place = run_of(scope), place_of(scope, TYPE)
        found = run.record.find("interception", marks=place.marks)
        if found is not None:
            return {"text": await run.record.text(found)}
        evidence = run.record.find("safety", stage=2, marks=place.marks)
        no = await run.record.refusal(evidence)
        if evidence is not None and no is not None:
            await run.journal.explain(
                _upload(place, evidence.pass_number),
                no,
                stage=2,
                pass_number=evidence.pass_number,
                metadata=place.marks,
                attempt=evidence.attempt,
            )
            raise Blocked(2, no)
        return None

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Do the passes that are not recorded. Raises Blocked, or an ArtlabError."""
        run, place, text = run_of(scope), place_of(scope, TYPE), text_in(inputs, scope)
        recipe = run.plan.recipe
        await run.journal.stage(2, scope.step)
        began = run.journal.begin()
        written = await _recorded(run, place)
        told = await _check_recipe(run, place) if len(written) < recipe.passes else ()
        for number in range(len(written) + 1, recipe.passes + 1):
            given = _given(recipe.given(number), text, written)
            await _check_before(run, place, told, given, number)
            written.append(await _write(run, place, given, number))
        if not written:
            raise Internal("NO_PASSES", f"{recipe.name} has no passes")
        last, result = written[-1], _given(recipe.result, text, written)
        models = last.models
        if recipe.result == "all":
            models = tuple(dict.fromkeys(one for each in written for one in each.models))
        await run.journal.text(
            place.upload("interception"),
            "interception",
            result,
            began,
            stage=2,
            audience="student",
            metadata={**last.metadata, **place.marks},
            models=models,
            attempt=last.attempt,
            with_next=True,
        )
        return {"text": result}


def _given(which: PassText, original: str, written: Sequence[Written]) -> str:
    """Return a text on the way through a recipe: what a pass is given, or what comes of them."""
    if which == "original" or not written:
        return original
    if which == "previous":
        return written[-1].text
    joined = "\n\n".join(one.text for one in written)
    if len(joined) > MAX_TEXT_CHARACTERS or len(joined.encode()) > MAX_TEXT_BYTES:
        raise FailedPrecondition(
            "PASSES_TOO_LONG",
            f"the passes together wrote more than {MAX_TEXT_CHARACTERS} characters",
        )
    return joined


async def _write(run: RunInWork, place: Place, text: str, number: int) -> Written:
    began, several = run.journal.begin(), run.plan.recipe.passes > 1
    entity_type = "interception_pass" if several else "interception"
    result = await one_pass(run, run.plan.recipe.name, entity_type, text, number)
    written = Written(number, result.text, told_of(run, result), (result.used,), result.attempt)
    if several:
        await run.journal.text(
            place.upload(f"interception-pass-{number}"),
            "interception_pass",
            written.text,
            began,
            stage=2,
            audience="advanced",
            pass_number=number,
            metadata={**written.metadata, **place.marks},
            models=written.models,
            attempt=written.attempt,
        )
    return written


async def _recorded(run: RunInWork, place: Place) -> list[Written]:
    """Return the passes that are recorded, from the first on without a gap."""
    found: list[RecordedEntity] = []
    for entity in run.record.all("interception_pass", marks=place.marks):
        if entity.pass_number == len(found) + 1:
            found.append(entity)
    written = []
    for entity in found:
        marks = marks_of(entity.metadata)
        told = {key: value for key, value in entity.metadata.items() if key not in marks}
        text = await run.record.text(entity)
        written.append(Written(entity.pass_number, text, told, entity.models, entity.attempt))
    return written


async def _check_recipe(run: RunInWork, place: Place) -> tuple[str, ...]:
    """Return what a recipe of somebody here tells a model, checked; nothing of a shipped one."""
    # What somebody here wrote into a recipe goes to a model like a person's own rules.
    recipe = run.plan.recipe
    if not recipe.is_local:
        return ()
    texts = await run.steady(
        lambda: run.services.interception.recipe_texts(recipe.name, recipe.sha256)
    )
    given: list[tuple[Purpose, str]] = [("context", one) for one in (*texts.told, *texts.shown)]
    await _check_all(run, place, given, 0, of_recipe=True)
    return texts.told


async def _check_before(
    run: RunInWork, place: Place, told: Sequence[str], text: str, number: int
) -> None:
    # A pass may say what its input did not; the next model must not see it unchecked. The person's
    # own rules go to the same model, and no other step need have looked at them.
    context = run.plan.request.context
    given: list[tuple[Purpose, str]] = [("interception", text)]
    given += [("context", context), ("context", seam(context, text))] if context else []
    # In the order in which a model reads them.
    given += [("context", seam(one, context or text)) for one in told]
    await _check_all(run, place, given, number - 1)


async def _check_all(
    run: RunInWork,
    place: Place,
    given: Sequence[tuple[Purpose, str]],
    pass_number: int,
    *,
    of_recipe: bool = False,
) -> None:
    began, verdicts = run.journal.begin(), list[Verdict]()
    try:
        for purpose, one in given:
            if not run.is_checked(one):
                await run.check(2, verdicts, purpose, one)
                run.mark_checked(one)
    except Blocked as blocked:
        if of_recipe:
            verdicts[-1] = _of_recipe(verdicts[-1])
            blocked.verdict = verdicts[-1]
        await run.journal.verdicts(
            _upload(place, pass_number),
            "safety",
            verdicts,
            began,
            stage=2,
            pass_number=pass_number,
            metadata=place.marks,
        )
        raise


def _of_recipe(no: Verdict) -> Verdict:
    language = no.language if no.language in _RECIPE_REFUSED else "en"
    explanation, suggestion = _RECIPE_REFUSED[language]
    return replace(no, explanation=explanation, suggestion=suggestion, language=language)


def _upload(place: Place, pass_number: int) -> str:
    return place.upload(f"safety-pass-{pass_number}")
