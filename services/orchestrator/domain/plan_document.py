"""The plan of a run as it is recorded, so that whoever drives the run carries out the same plan.

JSON with a version. It holds everything but the texts that are entities: what was typed, the
person's own rules, a text that takes the place of the intercepted one. Nothing is guessed on the
way back: a document that lacks something, or has something unknown, is refused. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from services.kit.errors import FailedPrecondition
from services.orchestrator.domain.fields import Fields, malformed
from services.orchestrator.domain.lineage import Copied, Lineage, Rerun
from services.orchestrator.domain.plan import Plan, PlannedOutput, RunRequest
from services.orchestrator.domain.run import LEVELS, Kind, Mode, PassText, Recipe
from services.orchestrator.engine.definition import Definition, parse_definition

VERSION = 1
# What the recorder takes.
MAX_BYTES = 256 * 1024
MODES: tuple[Mode, ...] = ("eco", "fast")
PASS_TEXTS: tuple[PassText, ...] = ("previous", "original", "all")
KINDS: tuple[Kind, ...] = ("text", "image", "audio", "music", "video", "code")


def plan_document(plan: Plan) -> str:
    """Return the plan as JSON. Raises FailedPrecondition PLAN_TOO_LARGE past 256 KiB."""
    document = json.dumps(
        {
            "version": VERSION,
            "run_id": str(plan.run_id),
            "level": plan.level,
            "seed": plan.seed,
            "checks_images": plan.checks_images,
            "expected_entities": list(plan.expected_entities),
            "recipe": _recipe(plan.recipe),
            "request": _request(plan.request),
            "outputs": [_output(output) for output in plan.outputs],
            "lineage": _lineage(plan.lineage),
            "pipeline": {
                "name": plan.pipeline.name,
                "sha256": plan.pipeline.sha256,
                "definition": json.loads(plan.pipeline.document),
            },
        },
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    )
    if len(document.encode()) > MAX_BYTES:
        raise FailedPrecondition("PLAN_TOO_LARGE", f"a plan has at most {MAX_BYTES} bytes")
    return document


def plan_of(document: str, input_text: str, context: str) -> Plan:
    """Return the plan of a document.

    Args:
        document: as `plan_document` made it.
        input_text: the entity `input`.
        context: the entity `context`, empty when there is none.

    Raises FailedPrecondition PLAN_MISSING (there is none), PLAN_VERSION_UNKNOWN (of another
    release), DataLoss RECORD_NOT_UNDERSTOOD.
    """
    if not document:
        raise FailedPrecondition("PLAN_MISSING", "the run was recorded without a plan")
    plan = Fields.parse(document, "plan")
    version = plan.integer("version")
    if version != VERSION:
        raise FailedPrecondition(
            "PLAN_VERSION_UNKNOWN",
            f"the run was planned as version {version}, and this program knows {VERSION}; have it"
            " driven by the release that planned it",
            metadata={"version": str(version)},
        )
    pipeline = _pipeline_of(plan.child("pipeline"))
    parameters = plan.child("request").scalars("parameters")
    lineage = plan.optional_child("lineage")
    found = Plan(
        request=_request_of(plan, input_text, context, pipeline.name),
        recipe=_recipe_of(plan.child("recipe")),
        level=plan.word("level", LEVELS),
        seed=plan.integer("seed"),
        outputs=tuple(_output_of(output, parameters) for output in plan.children("outputs")),
        expected_entities=plan.texts("expected_entities"),
        pipeline=pipeline,
        checks_images=plan.flag("checks_images"),
        lineage=None if lineage is None else _lineage_of(lineage),
    )
    plan.nothing_else()
    return found


def _recipe(recipe: Recipe) -> dict[str, object]:
    return {
        "name": recipe.name,
        "passes": recipe.passes,
        "translates_input": recipe.translates_input,
        "accepts_context": recipe.accepts_context,
        "requires_context": recipe.requires_context,
        "output_configs": list(recipe.output_configs),
        "default_output": recipe.default_output,
        "takes": list(recipe.takes),
        "result": recipe.result,
        "keeps_words": recipe.keeps_words,
        "is_local": recipe.is_local,
        "sha256": recipe.sha256,
        "local_only": recipe.local_only,
    }


def _recipe_of(recipe: Fields) -> Recipe:
    found = Recipe(
        name=recipe.text("name"),
        passes=recipe.integer("passes"),
        translates_input=recipe.flag("translates_input"),
        accepts_context=recipe.flag("accepts_context"),
        requires_context=recipe.flag("requires_context"),
        output_configs=recipe.texts("output_configs"),
        default_output=recipe.optional_word("default_output", KINDS),
    )
    # Plans of earlier releases know of none of these.
    if "takes" in recipe:
        found = replace(
            found,
            takes=recipe.words("takes", PASS_TEXTS),
            result=recipe.word("result", PASS_TEXTS),
            keeps_words=recipe.flag("keeps_words"),
            is_local=recipe.flag("is_local"),
            sha256=recipe.text("sha256"),
        )
    if "local_only" in recipe:
        found = replace(found, local_only=recipe.flag("local_only"))
    recipe.nothing_else()
    return found


def _request(request: RunRequest) -> dict[str, object]:
    rerun = request.rerun
    return {
        "config_name": request.config_name,
        "user_id": request.user_id,
        "output_configs": list(request.output_configs),
        "level": request.level,
        "mode": request.mode,
        "seed": request.seed,
        "language": request.language,
        "input_images": request.input_images,
        "parameters": dict(request.parameters),
        "allow_reuse": request.allow_reuse,
        "pause_before_render": request.pause_before_render,
        "rerun": None
        if rerun is None
        else {
            "parent": str(rerun.parent),
            "from_stage": rerun.from_stage,
            "text_sha256": rerun.text_sha256,
            "unset": list(rerun.unset),
        },
    }


def _request_of(plan: Fields, input_text: str, context: str, pipeline: str) -> RunRequest:
    request = plan.child("request")
    rerun = request.optional_child("rerun")
    found = RunRequest(
        run_id=plan.run_id("run_id"),
        config_name=request.text("config_name"),
        input_text=input_text,
        user_id=request.text("user_id"),
        context=context,
        output_configs=request.texts("output_configs"),
        level=request.optional_word("level", LEVELS),
        mode=request.word("mode", MODES),
        seed=request.optional_integer("seed"),
        language=request.text("language"),
        input_images=request.integer("input_images"),
        parameters=request.scalars("parameters"),
        allow_reuse=request.flag("allow_reuse"),
        pipeline=pipeline,
        pause_before_render=request.flag("pause_before_render"),
        rerun=None if rerun is None else _rerun_of(rerun),
    )
    request.nothing_else()
    return found


def _rerun_of(rerun: Fields) -> Rerun:
    found = Rerun(
        parent=rerun.run_id("parent"),
        from_stage=rerun.integer("from_stage"),
        text_sha256=rerun.text("text_sha256"),
        unset=rerun.texts("unset"),
    )
    rerun.nothing_else()
    return found


def _output(output: PlannedOutput) -> dict[str, object]:
    # Values are said once, in the request.
    return {
        "index": output.index,
        "occurrence": output.occurrence,
        "config": output.config,
        "kind": output.kind,
        "seed": output.seed,
        "image_slots": list(output.image_slots),
        "parameters": list(output.parameters),
        "text_slots": list(output.text_slots),
        "prompt_style": output.prompt_style,
    }


def _output_of(output: Fields, values: dict[str, bool | int | float | str]) -> PlannedOutput:
    names = output.texts("parameters")
    slots = output.texts("text_slots")
    _require_known(output, names, values)
    _require_known(output, slots, names)
    found = PlannedOutput(
        index=output.integer("index"),
        occurrence=output.integer("occurrence"),
        config=output.text("config"),
        kind=output.word("kind", KINDS),
        seed=output.integer("seed"),
        image_slots=output.texts("image_slots"),
        parameters={name: values[name] for name in names},
        text_slots=slots,
        prompt_style=output.text("prompt_style") if "prompt_style" in output else "",
    )
    output.nothing_else()
    return found


def _require_known(
    output: Fields, names: Sequence[str], known: Sequence[str] | dict[str, bool | int | float | str]
) -> None:
    for name in names:
        if name not in known:
            raise malformed(output.path, "names a value that is not there")


def _lineage(lineage: Lineage | None) -> dict[str, object] | None:
    if lineage is None:
        return None
    return {
        "parent": str(lineage.parent),
        "from_stage": lineage.from_stage,
        "copies": [
            {
                "sequence": copied.sequence,
                "type": copied.type,
                "pass": copied.pass_number,
                "index": copied.index,
            }
            for copied in lineage.copies
        ],
    }


def _lineage_of(lineage: Fields) -> Lineage:
    found = Lineage(
        parent=lineage.run_id("parent"),
        from_stage=lineage.integer("from_stage"),
        copies=tuple(_copied_of(copied) for copied in lineage.children("copies")),
    )
    lineage.nothing_else()
    return found


def _copied_of(copied: Fields) -> Copied:
    found = Copied(
        sequence=copied.integer("sequence"),
        type=copied.text("type"),
        pass_number=copied.integer("pass"),
        index=copied.integer("index"),
    )
    copied.nothing_else()
    return found


def _pipeline_of(pipeline: Fields) -> Definition:
    name, digest = pipeline.text("name"), pipeline.text("sha256")
    definition = parse_definition(pipeline.any("definition"), f"plan of {name}")
    pipeline.nothing_else()
    if definition.sha256 != digest or definition.name != name:
        raise malformed(pipeline.path, "is not the definition its digest says")
    return definition
