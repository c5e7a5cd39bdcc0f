"""The plan of a run: computed and validated before anything runs. Pure.

Every defect of a request is found here, so that a run which is accepted can be carried out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kit.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from services.kit.ids import RunId
from services.orchestrator.domain.expected import expected_entities
from services.orchestrator.domain.inherited import inherited, require_findable
from services.orchestrator.domain.lineage import Lineage, Rerun
from services.orchestrator.domain.question_config import waiting_seconds
from services.orchestrator.domain.run import (
    LEVELS,
    Kind,
    Level,
    Mode,
    OutputCatalogue,
    OutputOffer,
    Policy,
    Recipe,
)
from services.orchestrator.domain.slots import (
    Value,
    check_bounds,
    check_images,
    check_known,
    check_size,
    given_to,
    text_slots,
)
from services.orchestrator.engine.definition import Definition

MAX_OUTPUTS = 16
MAX_NAMES_TOLD = 40
# Numbers JavaScript and JSON readers can hold.
MAX_SEED = 2**53 - 1
DEFAULT_PIPELINE = "four_stages"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a person asks for; every field parsed, none of them checked against the catalogue."""

    run_id: RunId
    config_name: str
    input_text: str
    user_id: str
    context: str = ""
    output_configs: tuple[str, ...] = ()
    level: Level | None = None
    mode: Mode = "eco"
    seed: int | None = None
    language: str = ""
    # How many pictures the person will bring.
    input_images: int = 0
    # Values for typed slots of outputs, by name.
    parameters: Mapping[str, Value] = field(default_factory=dict)
    # Whether an equal output of the same person may be taken instead of making it again.
    allow_reuse: bool = False
    # Name of the pipeline the run follows.
    pipeline: str = DEFAULT_PIPELINE
    # Whether the person wants to see the text, and perhaps change it, before anything is made.
    pause_before_render: bool = False
    # From which run it goes on; None for a run of its own.
    rerun: Rerun | None = None


@dataclass(frozen=True, slots=True)
class PlannedOutput:
    """One requested output. Index from 1 over the run, occurrence from 1 per config."""

    index: int
    occurrence: int
    config: str
    kind: Kind
    seed: int
    # The first slot gets the first picture, and so on.
    image_slots: tuple[str, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    # The names of those that are texts.
    text_slots: tuple[str, ...] = ()
    # How its text is put for its medium; empty means as it was written.
    prompt_style: str = ""

    @property
    def slot_texts(self) -> tuple[str, ...]:
        """Texts its renderer gets like the prompt."""
        return tuple(str(self.parameters[name]) for name in self.text_slots)

    @property
    def is_visual(self) -> bool:
        """Whether it is something that is seen."""
        return self.kind in ("image", "video")

    @property
    def is_written(self) -> bool:
        """Whether it is a text, or a sketch, whose words are shown."""
        return self.kind in ("code", "text")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a driver needs to carry the run out."""

    request: RunRequest
    recipe: Recipe
    level: Level
    seed: int
    outputs: tuple[PlannedOutput, ...]
    expected_entities: tuple[str, ...]
    # Which steps there are, and what follows what.
    pipeline: Definition
    # Whether nothing that is seen may be shown before its check.
    checks_images: bool = False
    # What it goes on from; None for a run of its own.
    lineage: Lineage | None = None

    @property
    def text_slots(self) -> tuple[str, ...]:
        """Names of the parameters that are texts for a model."""
        return tuple(sorted({name for output in self.outputs for name in output.text_slots}))

    @property
    def slot_texts(self) -> tuple[str, ...]:
        """Texts for slots of outputs, checked before any model gets one."""
        return tuple(str(self.request.parameters[name]) for name in self.text_slots)

    @property
    def waiting_seconds(self) -> float:
        """How long people may let the run wait in all, at most; not part of its work."""
        return waiting_seconds(
            self.pipeline.flow,
            len(self.outputs),
            pause_before_render=self.request.pause_before_render,
        )

    @property
    def run_id(self) -> RunId:
        """The run this is the plan of."""
        return self.request.run_id


def make_plan(
    request: RunRequest,
    recipe: Recipe,
    catalogue: OutputCatalogue,
    policy: Policy,
    pipelines: Mapping[str, Definition],
    lineage: Lineage | None = None,
) -> Plan:
    """Return the plan.

    Raises PermissionDenied SAFETY_LEVEL_TOO_LAX, InvalidArgument CONTEXT_NOT_ACCEPTED,
    CONTEXT_REQUIRED, INPUT_IMAGES_REQUIRED, UNKNOWN_PARAMETER, INVALID_PARAMETER,
    PARAMETERS_TOO_LARGE, STEP_CONFIG_INVALID or RERUN_NOT_POSSIBLE, NotFound CONFIG_NOT_FOUND or
    PIPELINE_NOT_FOUND, FailedPrecondition OUTPUT_NOT_AVAILABLE (when the recipe's kind has no
    output here at all), each with the field's path.
    """
    pipeline = _pipeline(request.pipeline, pipelines)
    require_findable(request, pipeline)
    level = _level(request, policy.level)
    if request.context and not recipe.accepts_context:
        raise InvalidArgument(
            "CONTEXT_NOT_ACCEPTED", f"{recipe.name} takes no rules of one's own", field="context"
        )
    if recipe.requires_context and not request.context:
        raise InvalidArgument(
            "CONTEXT_REQUIRED", f"{recipe.name} needs rules of one's own", field="context"
        )
    seed = _drawn_seed(request.run_id) if request.seed is None else request.seed
    offers = _offers(_output_names(request, recipe, catalogue), catalogue)
    request, lineage = inherited(request, lineage, recipe, offers)
    check_images(request.input_images, offers)
    check_known(request.parameters, offers)
    check_bounds(request.parameters, offers)
    check_size(request.parameters)
    outputs = _outputs(offers, request, seed, keeps_words=_keeps_words(request, recipe))
    checks_images = level in policy.image_check_levels
    expected = expected_entities(
        request, recipe, pipeline.flow, outputs, checks_images=checks_images
    )
    plan = Plan(
        request=request,
        recipe=recipe,
        level=level,
        seed=seed,
        outputs=outputs,
        expected_entities=expected,
        pipeline=pipeline,
        checks_images=checks_images,
        lineage=lineage,
    )
    # That every question can be asked is found out now, not when it is to be.
    _ = plan.waiting_seconds
    return plan


def _pipeline(name: str, pipelines: Mapping[str, Definition]) -> Definition:
    if name not in pipelines:
        raise NotFound(
            "PIPELINE_NOT_FOUND",
            f"no such pipeline; there are {', '.join(sorted(pipelines)) or 'none'}",
            field="pipeline",
        )
    return pipelines[name]


def output_seed(seed: int, occurrence: int) -> int:
    """The seed of one output: one picture per repetition, the same across compared configs."""
    return (seed + occurrence - 1) % (MAX_SEED + 1)


def _level(request: RunRequest, server: Level) -> Level:
    asked = request.level
    if asked is None:
        return server
    if LEVELS.index(asked) > LEVELS.index(server):
        if request.rerun is not None and "safety_level" in request.rerun.unset:
            return server  # the server has become stricter than it was for the parent
        raise PermissionDenied(
            "SAFETY_LEVEL_TOO_LAX",
            f"this server's level is {server}; a request may only be stricter",
            field="safety_level",
            metadata={"server_level": server},
        )
    return asked


def _drawn_seed(run_id: RunId) -> int:
    # From the id, so that a repeated request draws the same seed and is the same run.
    digest = hashlib.sha256(f"seed {run_id}".encode()).digest()
    return int.from_bytes(digest[:8]) & MAX_SEED


def _output_names(
    request: RunRequest, recipe: Recipe, catalogue: OutputCatalogue
) -> tuple[str, ...]:
    # The request's choice, then the recipe's, then the default of its kind; text if it has none:
    # what a person gets to read is an output like any other, and checked like any other.
    if request.output_configs:
        return request.output_configs
    if recipe.output_configs:
        return recipe.output_configs
    kind: Kind = recipe.default_output or "text"
    candidates = catalogue.defaults.get((kind, request.mode), ())
    for name in candidates:
        if name in catalogue.offers and catalogue.offers[name].available:
            return (name,)
    raise FailedPrecondition(
        "OUTPUT_NOT_AVAILABLE", f"no output config for {kind} is available here"
    )


def _keeps_words(request: RunRequest, recipe: Recipe) -> bool:
    # A text that a person looks at before it is made, or wrote in its place, is made as it stands.
    wrote = request.rerun is not None and bool(request.rerun.text_sha256)
    return recipe.keeps_words or request.pause_before_render or wrote


def _offers(names: tuple[str, ...], catalogue: OutputCatalogue) -> tuple[OutputOffer, ...]:
    for position, name in enumerate(names):
        if name not in catalogue.offers:
            known = sorted(catalogue.offers)
            more = ", …" if len(known) > MAX_NAMES_TOLD else ""
            raise NotFound(
                "CONFIG_NOT_FOUND",
                f"no such output config; there are {', '.join(known[:MAX_NAMES_TOLD])}{more}",
                field=f"output_configs[{position}]",
            )
    return tuple(catalogue.offers[name] for name in names)


def _outputs(
    offers: tuple[OutputOffer, ...], request: RunRequest, seed: int, *, keeps_words: bool
) -> tuple[PlannedOutput, ...]:
    seen: Counter[str] = Counter()
    outputs = []
    for index, offer in enumerate(offers, start=1):
        seen[offer.name] += 1
        outputs.append(
            PlannedOutput(
                index=index,
                occurrence=seen[offer.name],
                config=offer.name,
                kind=offer.kind,
                seed=output_seed(seed, seen[offer.name]),
                image_slots=offer.image_slots,
                parameters=given_to(offer, request.parameters),
                text_slots=text_slots(request.parameters, offer),
                prompt_style="" if keeps_words else offer.prompt_style,
            )
        )
    return tuple(outputs)
