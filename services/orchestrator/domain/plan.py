"""The plan of a run: computed and validated before anything runs. Pure.

Every defect of a request is found here, so that a run which is accepted can be carried out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

from services.kit.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from services.kit.ids import RunId
from services.orchestrator.domain.run import LEVELS, Kind, Level, Mode, OutputCatalogue, Recipe

MAX_OUTPUTS = 16
# Numbers JavaScript and JSON readers can hold.
MAX_SEED = 2**53 - 1


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


@dataclass(frozen=True, slots=True)
class PlannedOutput:
    """One requested output. Index from 1 over the run, occurrence from 1 per config."""

    index: int
    occurrence: int
    config: str
    kind: Kind
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a driver needs to carry the run out."""

    request: RunRequest
    recipe: Recipe
    level: Level
    seed: int
    outputs: tuple[PlannedOutput, ...]
    expected_entities: tuple[str, ...]

    @property
    def run_id(self) -> RunId:
        """The run this is the plan of."""
        return self.request.run_id


def make_plan(
    request: RunRequest, recipe: Recipe, catalogue: OutputCatalogue, server_level: Level
) -> Plan:
    """Return the plan.

    Raises PermissionDenied SAFETY_LEVEL_TOO_LAX, InvalidArgument CONTEXT_NOT_ACCEPTED or
    CONTEXT_REQUIRED, NotFound CONFIG_NOT_FOUND, FailedPrecondition OUTPUT_NOT_AVAILABLE (when the
    recipe's kind has no output here at all), each with the field's path.
    """
    level = _level(request.level, server_level)
    if request.context and not recipe.accepts_context:
        raise InvalidArgument(
            "CONTEXT_NOT_ACCEPTED", f"{recipe.name} takes no rules of one's own", field="context"
        )
    if recipe.requires_context and not request.context:
        raise InvalidArgument(
            "CONTEXT_REQUIRED", f"{recipe.name} needs rules of one's own", field="context"
        )
    seed = _drawn_seed(request.run_id) if request.seed is None else request.seed
    outputs = _outputs(_output_names(request, recipe, catalogue), catalogue, seed)
    return Plan(request, recipe, level, seed, outputs, _expected(request, recipe, outputs))


def output_seed(seed: int, occurrence: int) -> int:
    """The seed of one output: one picture per repetition, the same across compared configs."""
    return (seed + occurrence - 1) % (MAX_SEED + 1)


def _level(asked: Level | None, server: Level) -> Level:
    if asked is None:
        return server
    if LEVELS.index(asked) > LEVELS.index(server):
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


def _outputs(
    names: tuple[str, ...], catalogue: OutputCatalogue, seed: int
) -> tuple[PlannedOutput, ...]:
    seen: Counter[str] = Counter()
    outputs = []
    for position, name in enumerate(names):
        offer = catalogue.offers.get(name)
        if offer is None:
            raise NotFound(
                "CONFIG_NOT_FOUND", "no such output config", field=f"output_configs[{position}]"
            )
        seen[name] += 1
        outputs.append(
            PlannedOutput(
                index=position + 1,
                occurrence=seen[name],
                config=name,
                kind=offer.kind,
                seed=output_seed(seed, seen[name]),
            )
        )
    return tuple(outputs)


def _expected(
    request: RunRequest, recipe: Recipe, outputs: tuple[PlannedOutput, ...]
) -> tuple[str, ...]:
    types = ["input"]
    types += ["context"] if request.context else []
    types += ["translation"] if recipe.translates_input else []
    types += ["safety"]
    types += ["interception_pass"] * recipe.passes if recipe.passes > 1 else []
    types += ["interception"]
    for output in outputs:
        types += ["safety_pre_output", f"output_{output.kind}"]
    return tuple(types)
