"""Stage 2: the text goes through the recipe, pass by pass.

What one pass hands to the next is checked between them, and so is a text that comes from elsewhere
than stage 1: nothing unchecked reaches a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.kit.errors import Internal
from services.orchestrator.domain.run import ModelUse, Purpose, RecordedEntity, Verdict
from services.orchestrator.engine.step import JsonObject, StepScope
from services.orchestrator.record import marks_of
from services.orchestrator.run_in_work import Blocked, RunInWork
from services.orchestrator.steps.passes import one_pass, seam, told_of
from services.orchestrator.steps.place import Place, place_of, run_of, text_in

TYPE = "interception"


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
        written = await _last_recorded(run, place)
        for number in range(written.number + 1 if written else 1, recipe.passes + 1):
            given = written.text if written else text
            await _check_before(run, place, given, number)
            written = await _write(run, place, given, number)
        if written is None:
            raise Internal("NO_PASSES", f"{recipe.name} has no passes")
        await run.journal.text(
            place.upload("interception"),
            "interception",
            written.text,
            began,
            stage=2,
            audience="student",
            metadata={**written.metadata, **place.marks},
            models=written.models,
            attempt=written.attempt,
            is_last=True,
        )
        return {"text": written.text}


async def _write(run: RunInWork, place: Place, text: str, number: int) -> Written:
    began, recursive = run.journal.begin(), run.plan.recipe.passes > 1
    entity_type = "interception_pass" if recursive else "interception"
    result = await one_pass(run, run.plan.recipe.name, entity_type, text, number)
    written = Written(number, result.text, told_of(run, result), (result.used,), result.attempt)
    if recursive:
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


async def _last_recorded(run: RunInWork, place: Place) -> Written | None:
    last: RecordedEntity | None = None
    for entity in run.record.all("interception_pass", marks=place.marks):
        if entity.pass_number == (last.pass_number if last else 0) + 1:
            last = entity
    if last is None:
        return None
    marks = marks_of(last.metadata)
    told = {key: value for key, value in last.metadata.items() if key not in marks}
    text = await run.record.text(last)
    return Written(last.pass_number, text, told, last.models, last.attempt)


async def _check_before(run: RunInWork, place: Place, text: str, number: int) -> None:
    # A pass may say what its input did not; the next model must not see it unchecked. The person's
    # own rules go to the same model, and no other step need have looked at them.
    context = run.plan.request.context
    given: list[tuple[Purpose, str]] = [("interception", text)]
    given += [("context", context), ("context", seam(context, text))] if context else []
    began, verdicts = run.journal.begin(), list[Verdict]()
    try:
        for purpose, one in given:
            if not run.is_checked(one):
                await run.check(2, verdicts, purpose, one)
                run.mark_checked(one)
    except Blocked:
        await run.journal.verdicts(
            _upload(place, number - 1),
            "safety",
            verdicts,
            began,
            stage=2,
            pass_number=number - 1,
            metadata=place.marks,
        )
        raise


def _upload(place: Place, pass_number: int) -> str:
    return place.upload(f"safety-pass-{pass_number}")
