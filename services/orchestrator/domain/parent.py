"""What a run takes over from the one it goes on from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from services.kit.errors import FailedPrecondition, InvalidArgument
from services.orchestrator.domain.lineage import Copied, Lineage, Rerun
from services.orchestrator.domain.plan import Plan, RunRequest
from services.orchestrator.domain.questions import QUESTION
from services.orchestrator.domain.run import RecordedEntity

T = TypeVar("T")

# What is decided before the outputs are made.
_BEFORE_OUTPUTS = ("config_name", "input_text", "context")


@dataclass(frozen=True, slots=True)
class Parent:
    """A recorded run that another one goes on from.

    Attributes:
        plan: what it was asked for, with its texts.
        entities: what it has, in order.
        edits: sequences of decisions that changed its text, the newest last.
    """

    plan: Plan
    entities: Sequence[RecordedEntity]
    edits: Sequence[int] = ()

    def newest(self, entity_type: str, pass_number: int = 0) -> RecordedEntity | None:
        """The newest of a type whose bytes are there."""
        found = [
            one
            for one in self.entities
            if one.type == entity_type and one.pass_number == pass_number and not one.erased
        ]
        return found[-1] if found else None


def merged(request: RunRequest, rerun: Rerun, parent: Plan) -> RunRequest:
    """Return the request with what it leaves to the parent filled in.

    Raises InvalidArgument CHANGE_TOO_LATE for what is decided before the stage it goes on from.
    """
    asked = parent.request
    unset = rerun.unset

    def chosen(name: str, own: T, inherited: T) -> T:
        return inherited if name in unset else own

    whole = replace(
        request,
        config_name=chosen("config_name", request.config_name, asked.config_name),
        input_text=chosen("input_text", request.input_text, asked.input_text),
        context=chosen("context", request.context, asked.context),
        output_configs=chosen(
            "output_configs",
            request.output_configs,
            tuple(output.config for output in parent.outputs),
        ),
        level=chosen("safety_level", request.level, parent.level),
        mode=chosen("execution_mode", request.mode, asked.mode),
        seed=chosen("seed", request.seed, parent.seed),
        language=chosen("language", request.language, asked.language),
        input_images=chosen("input_images", request.input_images, asked.input_images),
        parameters=chosen("parameters", request.parameters, asked.parameters),
        pipeline=chosen("pipeline", request.pipeline, asked.pipeline),
        rerun=replace(rerun, text=""),
    )
    if rerun.from_stage > 2:
        for name in _BEFORE_OUTPUTS:
            if getattr(whole, name) != getattr(asked, name):
                raise InvalidArgument(
                    "CHANGE_TOO_LATE",
                    f"stage {rerun.from_stage} comes after what this decides; go on from stage 2,"
                    " or start a run of its own",
                    field=name,
                )
    return whole


def lineage_of(request: RunRequest, rerun: Rerun, parent: Parent) -> Lineage:
    """Return what a run takes over; `request` is the merged one.

    Raises FailedPrecondition PARENT_INCOMPLETE when the parent did not come as far, or what it made
    is not there any more.
    """
    copies = [*_texts(request, rerun, parent)]
    if "input_images" in rerun.unset:
        copies += _images(parent)
    copies.sort(key=lambda one: one.sequence)
    return Lineage(rerun.parent, rerun.from_stage, tuple(copies))


def incomplete(lacking: str) -> FailedPrecondition:
    """What is said of a parent that has not, or has no more, what is to be taken over."""
    return FailedPrecondition("PARENT_INCOMPLETE", f"the run to go on from has {lacking}")


def _texts(request: RunRequest, rerun: Rerun, parent: Parent) -> list[Copied]:
    asked = parent.plan.request
    copies = []
    if request.input_text == asked.input_text:
        copies.append(_needed(parent, "input"))
        if parent.plan.recipe.translates_input:
            copies.append(_needed(parent, "translation"))
        _require_checked(parent)
    if request.context and request.context == asked.context:
        copies.append(_needed(parent, "context"))
    if rerun.from_stage == 2:
        return copies
    for number in range(1, parent.plan.recipe.passes + 1):
        if parent.plan.recipe.passes > 1:
            copies.append(_needed(parent, "interception_pass", number))
    interception = _needed(parent, "interception")
    if not rerun.text:
        # What its outputs were made of is the text as the person changed it.
        edited = replace(interception, sequence=parent.edits[-1]) if parent.edits else None
        copies.append(edited or interception)
    checked = any(one.type == "safety_pre_output" for one in parent.entities)
    if rerun.from_stage == 4 and not checked:
        raise incomplete("no output that came to stage 4")
    return copies


def _needed(parent: Parent, entity_type: str, pass_number: int = 0) -> Copied:
    found = parent.newest(entity_type, pass_number)
    if found is None:
        raise incomplete(f"no {entity_type}")
    return Copied(found.sequence, entity_type, pass_number)


def _require_checked(parent: Parent) -> None:
    # Ended by a no in stage 1, or before the end of it, it has nothing to go on from.
    if not any(one.type == "safety" and one.stage == 1 for one in parent.entities):
        raise incomplete("not ended stage 1")
    if any(_is_refusal_of_stage_1(one) for one in parent.entities):
        raise incomplete("not come past stage 1")


def _is_refusal_of_stage_1(entity: RecordedEntity) -> bool:
    # A person's no, or one to what a person wrote, is none of stage 1's own checks.
    return entity.type == "explanation" and entity.stage == 1 and QUESTION not in entity.metadata


def _images(parent: Parent) -> list[Copied]:
    copies = []
    for index in range(1, parent.plan.request.input_images + 1):
        found = [
            one
            for one in parent.entities
            if one.type == "input_image"
            and one.metadata.get("index") == str(index)
            and not one.erased
        ]
        if not found:
            raise incomplete(f"no input image {index}")
        copies.append(Copied(found[-1].sequence, "input_image", index=index))
    return copies


def accepted_edits(entities: Sequence[RecordedEntity]) -> list[RecordedEntity]:
    """Decisions about the text of a whole run of which no check said no, in their order."""
    refused = {one.metadata.get(QUESTION) for one in entities if one.type == "explanation"}
    return [
        one
        for one in entities
        if one.type == "decision"
        and not one.output_index
        and not one.erased
        and one.metadata.get("decision") == "edit"
        and one.metadata.get(QUESTION) not in refused
    ]
