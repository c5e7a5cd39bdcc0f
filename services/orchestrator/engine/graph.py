"""The parts of a pipeline: steps, and the paths that lead from one to the next. Pure.

Values of these types come from `parse_definition` only, and then cannot be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from services.orchestrator.engine.condition import SUCCEEDED, Condition
from services.orchestrator.engine.step import JsonObject
from services.orchestrator.engine.template import Filling

EACH_OUTPUT = "for_each_output"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried in all, and how long to wait between two tries.

    The wait before try n+1 is drawn between 0 and `backoff_seconds` · 2^(n-1), at most
    `max_backoff_seconds`. `on` lists reasons or codes of errors (docs/errors.md); empty stands for
    UNAVAILABLE, RESOURCE_EXHAUSTED and DEADLINE_EXCEEDED.
    """

    attempts: int = 1
    backoff_seconds: float = 0.5
    max_backoff_seconds: float = 30.0
    on: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepDefinition:
    """One step of the file.

    Attributes:
        id: unique in the whole file, ``[a-z][a-z0-9_]{0,31}``.
        index: its place in the file, from 1, those of nested bodies counted where they stand.
        kind: a type, or ``module:Class`` of a plug-in.
        config: as in the file, without the body.
        inputs: filled in before each try.
        timeout_seconds: of one try; None for no limit but the run's.
        fallback: what counts as its output when all tries failed; None for a step without.
        body: of `for_each_output`.
    """

    id: str
    index: int
    kind: str
    config: JsonObject = field(default_factory=dict)
    inputs: Filling = field(default_factory=dict)
    retry: Retry = Retry()
    timeout_seconds: float | None = None
    fallback: Filling | None = None
    body: Flow | None = None


@dataclass(frozen=True)
class Path:
    """A way from one step to another, taken when the condition holds.

    Attributes:
        limit: how often it may be taken, for a path that leads back; None for one that does not.
    """

    from_step: str
    to_step: str
    condition: Condition = SUCCEEDED
    limit: int | None = None

    def __hash__(self) -> int:
        return hash((self.from_step, self.to_step, self.limit))

    @property
    def is_loop(self) -> bool:
        """Whether it leads back."""
        return self.limit is not None


@dataclass(frozen=True)
class Flow:
    """Steps and paths of a pipeline, or of the body of a `for_each_output`."""

    steps: tuple[StepDefinition, ...]
    paths: tuple[Path, ...] = ()
    start_at: tuple[str, ...] = ()

    @cached_property
    def by_id(self) -> Mapping[str, StepDefinition]:
        """Its own steps, without those of nested bodies."""
        return {step.id: step for step in self.steps}

    def into(self, step: str) -> tuple[Path, ...]:
        """Paths that a step waits for: all that lead to it, but those that lead back."""
        return tuple(path for path in self.paths if path.to_step == step and not path.is_loop)

    def out_of(self, step: str) -> tuple[Path, ...]:
        """Paths that go on from a step."""
        return tuple(path for path in self.paths if path.from_step == step and not path.is_loop)

    def back_from(self, step: str) -> tuple[Path, ...]:
        """Paths that lead back from a step, in the order of the file."""
        return tuple(path for path in self.paths if path.from_step == step and path.is_loop)

    @cached_property
    def after(self) -> Mapping[str, frozenset[str]]:
        """For each step, those that come after it on some path that does not lead back."""
        return _closure(self.paths, backwards=False)

    @cached_property
    def before(self) -> Mapping[str, frozenset[str]]:
        """For each step, those that come before it on some path that does not lead back."""
        return _closure(self.paths, backwards=True)

    def body_of(self, loop: Path) -> frozenset[str]:
        """The steps that are done again when a path leads back: all between its two ends."""
        after = self.after.get(loop.to_step, frozenset()) | {loop.to_step}
        before = self.before.get(loop.from_step, frozenset()) | {loop.from_step}
        return after & before

    def walk(self) -> Iterator[StepDefinition]:
        """All steps in the order of the file, those of nested bodies included."""
        for step in self.steps:
            yield step
            if step.body is not None:
                yield from step.body.walk()


def _closure(paths: tuple[Path, ...], *, backwards: bool) -> Mapping[str, frozenset[str]]:
    next_of: dict[str, set[str]] = {}
    for path in paths:
        if not path.is_loop:
            ends = (path.to_step, path.from_step) if backwards else (path.from_step, path.to_step)
            next_of.setdefault(ends[0], set()).add(ends[1])
    found: dict[str, frozenset[str]] = {}
    for start in next_of:
        seen: set[str] = set()
        waiting = list(next_of[start])
        while waiting:
            step = waiting.pop()
            if step not in seen:
                seen.add(step)
                waiting += next_of.get(step, ())
        found[start] = frozenset(seen)
    return found
