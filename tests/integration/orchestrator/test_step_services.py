"""What a step of a pipeline is given beside the services: how its run stands, and telemetry."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.kit.errors import FailedPrecondition, InvalidArgument
from services.kit.ids import RunId
from services.kit.log import JsonFormatter
from services.orchestrator.engine.definition import parse_definition
from services.orchestrator.engine.registry import Registry
from services.orchestrator.engine.step import StepScope
from services.orchestrator.steps.table import FACTORIES
from services.orchestrator.telemetry import LoggedTelemetry, observed
from services.orchestrator.tracker import RecordTracker
from tests.support.driven_run import REQUEST, RUN, driven

MODULE = """
from services.orchestrator.telemetry import observed


class Looks:
    async def run(self, inputs, scope):
        tracker, clock, telemetry = map(scope.services.get, ("tracker", "clock", "telemetry"))
        with observed(telemetry, "looked", clock.monotonic, of="run"):
            found = await tracker.standing(scope.run_id)
        telemetry.count("entities", sum(found.entities.values()), stage=found.stage)
        return {"state": found.state, "outputs": list(found.outputs.values())}
"""
STEPS: list[dict[str, Any]] = [
    {"id": "translation_and_safety", "type": "translation_and_safety",
     "inputs": {"text": "{{ input.text }}"}},
    {"id": "looks", "type": "looking_steps:Looks"},
]  # fmt: skip


class Recorded:
    """Telemetry that keeps what it is told, as a test has it."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, int, dict[str, Any]]] = []
        self.times: list[tuple[str, float, dict[str, Any]]] = []

    def count(self, name: str, by: int = 1, **labels: Any) -> None:
        self.counts.append((name, by, labels))

    def observe(self, name: str, seconds: float, **labels: Any) -> None:
        self.times.append((name, seconds, labels))


@pytest.fixture
def looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A pipeline with a plug-in that asks for both."""
    (tmp_path / "looking_steps.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    document = {"name": "looking", "steps": STEPS}
    yield {"looking": parse_definition(document, "looking.yaml", FACTORIES)}
    sys.modules.pop("looking_steps", None)
    importlib.invalidate_caches()


async def test_a_step_sees_how_its_run_stands_and_tells_what_it_measures(
    tmp_path: Path, looking: dict[str, Any]
) -> None:
    told = Recorded()
    request = replace(REQUEST, pipeline="looking")
    others = {"others": {"telemetry": told}}
    async with driven(tmp_path, request=request, pipelines=looking, services=others) as run:
        await run.drive()
        standing = await RecordTracker(run.recorder).standing(RUN)
    assert told.counts[0][0] == "entities"
    assert told.counts[0][1] >= 2, "what was typed, and what safety said of it"
    assert [(name, labels) for name, _, labels in told.times] == [("looked", {"of": "run"})]
    assert standing.state not in ("pending", "running")
    assert standing.entities["step_output"] == 1
    assert standing.entities["input"] == 1
    assert (standing.waits, set(standing.outputs)) == (False, {1})


def test_what_is_measured_is_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    now = iter((2.0, 5.5))
    with caplog.at_level(logging.INFO), observed(LoggedTelemetry(), "palette", lambda: next(now)):
        LoggedTelemetry().count("colours", 3, language="de", sure=True)
    lines = [json.loads(JsonFormatter("orchestrator").format(one)) for one in caplog.records]
    assert [(line["event"], line["metric"]) for line in lines] == [
        ("counted", "colours"),
        ("observed", "palette"),
    ]
    assert (lines[0]["count"], lines[0]["labels"]) == (3, {"language": "de", "sure": True})
    assert lines[1]["seconds"] == 3.5


@pytest.mark.parametrize(
    ("name", "by", "labels"),
    [
        ("Was ein Kind schrieb", 1, {}),
        ("", 1, {}),
        ("words", -1, {}),
        ("words", 1, {"text": "Eine Blume"}),
        ("words", 1, {f"l{number}": number for number in range(9)}),
    ],
)
def test_what_somebody_wrote_is_no_name_and_no_label(
    name: str, by: int, labels: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(InvalidArgument) as caught:
        LoggedTelemetry().count(name, by, **labels)
    assert caught.value.reason == "INVALID_TELEMETRY"
    assert caplog.records == []


async def test_a_step_runs_in_a_test_with_neither() -> None:
    scope = StepScope(RunId.new(), "a", 1, 1, {}, Registry({}))
    with pytest.raises(FailedPrecondition, match="SERVICE_NOT_THERE"):
        scope.services.get("tracker")
