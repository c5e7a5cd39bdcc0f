"""Reads steps and flows of a pipeline, each field with its path. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from services.kit.errors import BY_CODE
from services.orchestrator.engine.condition import Condition
from services.orchestrator.engine.condition_parser import parse_condition
from services.orchestrator.engine.graph import EACH_OUTPUT, Flow, Path, Retry, StepDefinition
from services.orchestrator.engine.reader import Reader, at, kind_of
from services.orchestrator.engine.template import Filling, TemplateError, parse_filling

MAX_STEPS = 64
MAX_PATHS = 256
MAX_LIMIT = 100
MAX_ATTEMPTS = 10
MAX_SECONDS = 24 * 3600.0
MAX_AT_ONCE = 16

_ID = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_REASON = re.compile(r"[A-Z][A-Z0-9_]{2,62}", re.ASCII)
_STEP_FIELDS = ("id", "type", "config", "inputs", "retry", "timeout_seconds", "fallback")
_RETRY_FIELDS = ("attempts", "backoff_seconds", "max_backoff_seconds", "on")
_FLOW_FIELDS = ("start_at", "paths")
_PATH_FIELDS = ("from_step", "to_step", "condition", "limit")
_EACH_FIELDS = ("at_once", "body")


class StepParser:
    """Reads the flows of one file.

    Attributes:
        places: path of each step in the file.
        flow_places: by id of the step whose body a flow is, empty for the outermost: its path.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._count = 0
        self._ids: dict[str, str] = {}
        self.places: dict[str, StepDefinition] = {}
        self.flow_places: dict[str, str] = {}

    def flow(self, steps: object, flow: object, place: str, owner: str = "") -> Flow:
        """Read the steps and the flow found at a place."""
        self.flow_places[owner] = place
        if steps is None:
            self._reader.wrong(at(place, "steps"), "is missing")
            return Flow(())
        rows = self._reader.items(steps, at(place, "steps"), MAX_STEPS)
        read = [self._step(row, at(at(place, "steps"), n), owner) for n, row in enumerate(rows)]
        known = tuple(step for step in read if step.id)
        if flow is None:
            paths = tuple(Path(a.id, b.id) for a, b in pairwise(known))
            return Flow(known, paths, tuple(step.id for step in known[:1]))
        return self._paths(known, flow, at(place, "flow"))

    def _step(self, row: object, place: str, owner: str) -> StepDefinition:
        self._count += 1
        index = self._count
        reader = self._reader
        fields = reader.fields(row, place, _STEP_FIELDS)
        if not fields and not isinstance(row, Mapping):
            return StepDefinition("", index, "")
        step_id = self._id(fields, place)
        kind = ""
        if "type" in fields:
            kind = reader.text(fields["type"], at(place, "type"), most=200)
        else:
            reader.wrong(at(place, "type"), "is missing")
        config = reader.mapping(fields.get("config", {}), at(place, "config"))
        body = None
        if kind == EACH_OUTPUT:
            body = self._each_output(config, place, step_id, owner)
            config = {key: value for key, value in config.items() if key != "body"}
            for key in ("inputs", "retry", "timeout_seconds", "fallback"):
                if key in fields:
                    reader.wrong(at(place, key), "belongs to the steps of the body")
        step = StepDefinition(
            id=step_id,
            index=index,
            kind=kind,
            config=config,
            inputs=self._filling(fields.get("inputs", {}), at(place, "inputs")),
            retry=self._retry(fields.get("retry"), at(place, "retry")),
            timeout_seconds=self._timeout(fields, place),
            fallback=self._fallback(fields, place),
            body=body,
        )
        self.places[place] = step
        return step

    def _id(self, fields: Mapping[str, Any], place: str) -> str:
        where = at(place, "id")
        if "id" not in fields:
            self._reader.wrong(where, "is missing")
            return ""
        found = fields["id"]
        if not isinstance(found, str) or _ID.fullmatch(found) is None:
            told = found if isinstance(found, str) else kind_of(found)
            expected = "expected a small letter, then at most 31 of a-z, 0-9 and _"
            self._reader.wrong(where, f"{expected}, found {told}")
            return ""
        if found in self._ids:
            self._reader.wrong(where, f"{found} is the id of {self._ids[found]} already")
            return ""
        self._ids[found] = place
        return found

    def _each_output(
        self, config: Mapping[str, Any], place: str, step_id: str, owner: str
    ) -> Flow | None:
        where = at(place, "config")
        fields = self._reader.fields(config, where, _EACH_FIELDS)
        if "at_once" in fields:
            self._reader.integer(fields["at_once"], at(where, "at_once"), 1, MAX_AT_ONCE)
        if owner:
            self._reader.wrong(at(place, "type"), f"{EACH_OUTPUT} cannot be within another one")
            return None
        if "body" not in fields:
            self._reader.wrong(at(where, "body"), "is missing: what to do for each output")
            return None
        inner = at(where, "body")
        body = self._reader.fields(fields["body"], inner, ("steps", "flow"))
        return self.flow(body.get("steps"), body.get("flow"), inner, step_id or place)

    def _filling(self, value: object, place: str) -> dict[str, Filling]:
        filled: dict[str, Filling] = {}
        for key, one in self._reader.mapping(value, place).items():
            try:
                filled[key] = parse_filling(one)
            except TemplateError as error:
                self._reader.wrong(at(place, key), str(error))
        return filled

    def _retry(self, value: object, place: str) -> Retry:
        if value is None:
            return Retry()
        reader = self._reader
        fields = reader.fields(value, place, _RETRY_FIELDS)
        plain = Retry()
        attempts, on = plain.attempts, tuple[str, ...]()
        backoff, most = plain.backoff_seconds, plain.max_backoff_seconds
        if "attempts" in fields:
            attempts = reader.integer(fields["attempts"], at(place, "attempts"), 1, MAX_ATTEMPTS)
        else:
            reader.wrong(at(place, "attempts"), "is missing: how often it is tried in all")
        if "backoff_seconds" in fields:
            where = at(place, "backoff_seconds")
            backoff = reader.seconds(fields["backoff_seconds"], where, 0.0, 3600.0)
        if "max_backoff_seconds" in fields:
            where = at(place, "max_backoff_seconds")
            most = reader.seconds(fields["max_backoff_seconds"], where, 0.0, 3600.0)
        if "on" in fields:
            where = at(place, "on")
            on = tuple(
                self._reason(one, at(where, number))
                for number, one in enumerate(reader.items(fields["on"], where, 40))
            )
        return Retry(attempts, backoff, max(most, 0.0), on)

    def _reason(self, value: object, place: str) -> str:
        if isinstance(value, str) and _REASON.fullmatch(value):
            return value
        codes = {kind.__name__: code for code, kind in BY_CODE.items()}
        hint = (
            f"; did you mean {codes[value]}?" if isinstance(value, str) and value in codes else ""
        )
        told = value if isinstance(value, str) else kind_of(value)
        expected = "expected the reason or code of an error in capitals, like UNAVAILABLE"
        self._reader.wrong(place, f"{expected}, found {told}{hint}")
        return ""

    def _timeout(self, fields: Mapping[str, Any], place: str) -> float | None:
        if fields.get("timeout_seconds") is None:
            return None
        where = at(place, "timeout_seconds")
        return self._reader.seconds(fields["timeout_seconds"], where, 0.001, MAX_SECONDS)

    def _fallback(self, fields: Mapping[str, Any], place: str) -> dict[str, Filling] | None:
        if "fallback" not in fields:
            return None
        return self._filling(fields["fallback"], at(place, "fallback"))

    # Paths

    def _paths(self, steps: tuple[StepDefinition, ...], value: object, place: str) -> Flow:
        fields = self._reader.fields(value, place, _FLOW_FIELDS)
        rows = fields.get("paths", [])
        if rows:
            rows = self._reader.items(rows, at(place, "paths"), MAX_PATHS)
        elif not isinstance(rows, list):
            self._reader.wrong(at(place, "paths"), f"expected a list, found {kind_of(rows)}")
            rows = []
        where = at(place, "paths")
        paths = tuple(self._path(row, at(where, number)) for number, row in enumerate(rows))
        if "start_at" in fields:
            start_at = self._start_at(fields["start_at"], at(place, "start_at"))
        else:
            led_to = {path.to_step for path in paths if not path.is_loop}
            start_at = tuple(step.id for step in steps if step.id not in led_to)
        return Flow(steps, paths, start_at)

    def _start_at(self, value: object, place: str) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        found = self._reader.items(value, place, MAX_STEPS)
        return tuple(
            self._reader.text(one, at(place, number), most=32) for number, one in enumerate(found)
        )

    def _path(self, row: object, place: str) -> Path:
        reader = self._reader
        fields = reader.fields(row, place, _PATH_FIELDS)
        ends = []
        for key in ("from_step", "to_step"):
            if key not in fields:
                if isinstance(row, Mapping):
                    reader.wrong(at(place, key), "is missing")
                ends.append("")
            else:
                ends.append(reader.text(fields[key], at(place, key), most=32))
        condition: Condition = Path("", "").condition
        if "condition" in fields:
            condition = parse_condition(reader, fields["condition"], at(place, "condition"))
        limit = None
        if "limit" in fields:
            limit = reader.integer(fields["limit"], at(place, "limit"), 1, MAX_LIMIT)
        return Path(ends[0], ends[1], condition, limit)
