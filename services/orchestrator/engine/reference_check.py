"""Whether what templates and conditions name is there, and there in time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.orchestrator.engine.condition import templates_of
from services.orchestrator.engine.graph import EACH_OUTPUT, Flow, StepDefinition
from services.orchestrator.engine.kinds import Factories, given_by, taken_by
from services.orchestrator.engine.reader import Reader, at, did_you_mean
from services.orchestrator.engine.step_parser import StepParser
from services.orchestrator.engine.template import (
    OF_STEP,
    ROOTS,
    Reference,
    Template,
    templates_in,
)
from services.orchestrator.engine.values import Values

_OF_EACH = frozenset({"outputs", "succeeded", "blocked", "failed", "not_available"})


@dataclass(frozen=True, slots=True)
class _View:
    """What can be named from one place: steps that came before, and those of an earlier turn."""

    before: frozenset[str]
    earlier: frozenset[str] = frozenset()
    in_body: bool = False


def check_references(
    reader: Reader,
    flow: Flow,
    parser: StepParser,
    factories: Factories | None,
    values: Values | None,
) -> None:
    """Note every name that is not there, or not there in time."""
    _Check(reader, flow, parser, factories, values or {}).check()


class _Check:
    def __init__(
        self,
        reader: Reader,
        flow: Flow,
        parser: StepParser,
        factories: Factories | None,
        values: Values,
    ) -> None:
        self._reader = reader
        self._flow = flow
        self._parser = parser
        self._factories = factories
        self._values = values
        self._steps = {step.id: step for step in flow.walk()}
        self._places = {step.id: place for place, step in parser.places.items()}

    def check(self) -> None:
        self._check_flow(self._flow, "", _View(frozenset()))

    def _check_flow(self, flow: Flow, owner: str, outer: _View) -> None:
        for step in flow.steps:
            view = _view(flow, step.id, outer, itself=False)
            place = self._places[step.id]
            self._check_inputs(step, place, view)
            if step.body is not None:
                inner = _View(view.before, view.earlier, in_body=True)
                self._check_flow(step.body, step.id, inner)
        paths = at(at(self._parser.flow_places[owner], "flow"), "paths")
        for number, path in enumerate(flow.paths):
            view = _view(flow, path.from_step, outer, itself=True)
            where = at(at(paths, number), "condition")
            for template, may_be_missing in templates_of(path.condition):
                self._check_template(template, where, view, may_be_missing=may_be_missing)

    def _check_inputs(self, step: StepDefinition, place: str, view: _View) -> None:
        for key, filling in step.inputs.items() if isinstance(step.inputs, dict) else ():
            self._check_all(templates_in(filling), at(at(place, "inputs"), key), view)
        if isinstance(step.fallback, dict):
            for key, filling in step.fallback.items():
                self._check_all(templates_in(filling), at(at(place, "fallback"), key), view)
        taken = None if self._factories is None else taken_by(step.kind, self._factories)
        if taken is not None and isinstance(step.inputs, dict):
            for key in step.inputs:
                if key not in taken:
                    hint = did_you_mean(key, taken)
                    reason = f"{step.kind} takes no input of this name{hint}"
                    self._reader.wrong(at(at(place, "inputs"), key), reason)

    def _check_all(self, templates: Iterable[Template], place: str, view: _View) -> None:
        for template in templates:
            self._check_template(template, place, view, may_be_missing=False)

    def _check_template(
        self, template: Template, place: str, view: _View, *, may_be_missing: bool
    ) -> None:
        last = len(template.alternatives) - 1
        for number, one in enumerate(template.alternatives):
            if isinstance(one, Reference):
                optional = may_be_missing or number < last
                for reason in self._defects_of(one, view, optional=optional):
                    self._reader.wrong(place, f"{one}: {reason}")

    def _defects_of(self, one: Reference, view: _View, *, optional: bool) -> Iterator[str]:
        root = one.parts[0]
        if root not in ROOTS:
            yield f"there is no {root}{did_you_mean(root, ROOTS)}"
        elif root == "output" and not view.in_body:
            yield f"there is an output only in the body of a {EACH_OUTPUT}; steps.{one} perhaps?"
        elif root == "steps":
            yield from self._defects_of_step(one, view, optional=optional)
        elif root in self._values and one.parts[1] not in self._values[root]:
            hint = did_you_mean(one.parts[1], self._values[root])
            yield f"there is no {one.parts[1]} in {root}{hint}"

    def _defects_of_step(self, one: Reference, view: _View, *, optional: bool) -> Iterator[str]:
        step = self._steps.get(one.parts[1])
        if step is None:
            yield f"there is no step {one.parts[1]}{did_you_mean(one.parts[1], self._steps)}"
            return
        if step.id in view.before:
            pass
        elif step.id not in view.earlier:
            yield f"step {step.id} does not come before this, so there is nothing of it yet"
        elif not optional:
            yield (
                f"step {step.id} comes later in this loop, so the first time there is nothing of "
                'it; say what to take then: ?? "…"'
            )
        if len(one.parts) == 2 or one.parts[2] not in OF_STEP:
            wrong = one.parts[2] if len(one.parts) > 2 else ""
            hint = did_you_mean(wrong, OF_STEP)
            yield f"of a step there is {', '.join(OF_STEP)}{hint if wrong else ''}"
            return
        given = self._given(step)
        if one.parts[2] == "output" and len(one.parts) > 3 and given is not None:
            if one.parts[3] not in given:
                hint = did_you_mean(one.parts[3], given)
                yield f"step {step.id} gives no {one.parts[3]}{hint}"

    def _given(self, step: StepDefinition) -> frozenset[str] | None:
        if step.kind == EACH_OUTPUT:
            return _OF_EACH
        if self._factories is None:
            return None
        if step.kind == "set":
            given = frozenset(step.inputs if isinstance(step.inputs, dict) else ())
        else:
            said = given_by(step.kind, self._factories)
            if said is None:
                return None
            given = said
        return given | frozenset(step.fallback if isinstance(step.fallback, dict) else ())


def _view(flow: Flow, step: str, outer: _View, *, itself: bool) -> _View:
    before = flow.before.get(step, frozenset()) | (frozenset({step}) if itself else frozenset())
    earlier: set[str] = set()
    for loop in (path for path in flow.paths if path.is_loop):
        body = flow.body_of(loop)
        if step in body:
            # Those beside it are left out: whether they have ended would be a matter of luck.
            earlier |= body & (flow.after.get(step, frozenset()) | {step})
    return _View(outer.before | before, outer.earlier | frozenset(earlier - before), outer.in_body)
