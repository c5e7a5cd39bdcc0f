"""Plug-ins: found by import, looked at before any run follows them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kit.catalogue import load_document
from services.kit.defects import CatalogueError
from services.kit.errors import FailedPrecondition
from services.kit.ids import RunId
from services.orchestrator.engine.definition import parse_definition
from services.orchestrator.engine.executor import Executor
from services.orchestrator.engine.kinds import factory_of
from services.orchestrator.engine.registry import Registry
from services.orchestrator.engine.step import JsonObject, StepScope

EXAMPLES = Path(__file__).resolve().parents[4] / "docs" / "examples" / "pipelines"

MODULE = """
from abc import ABC, abstractmethod

class Good:
    async def run(self, inputs, scope):
        return {"done": scope.step}

class NoRun:
    pass

class NotAsync:
    def run(self, inputs, scope):
        return {}

class TooFew:
    async def run(self, inputs):
        return {}

class NeedsMore:
    def __init__(self, secret):
        pass
    async def run(self, inputs, scope):
        return {}

class Abstract(ABC):
    async def run(self, inputs, scope):
        return {}
    @abstractmethod
    def more(self): ...

number = 3
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to import from, with a module of steps and some that cannot be imported."""
    (tmp_path / "some_steps.py").write_text(MODULE)
    (tmp_path / "broken_steps.py").write_text("1 / 0")
    (tmp_path / "needing_steps.py").write_text("import a_module_nobody_has")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    importlib.invalidate_caches()


def refused(kind: str) -> str:
    document = {"name": "x", "steps": [{"id": "a", "type": kind}]}
    with pytest.raises(CatalogueError) as error:
        parse_definition(document, "x.yaml", {})
    (defect,) = error.value.defects
    assert defect.field == "steps.0.type"
    return defect.reason


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("some_steps:God", "has no God; did you mean Good?"),
        ("some_steps:NoRun", "has no method run: async def run(self, inputs, scope)"),
        ("some_steps:NotAsync", "must be async"),
        ("some_steps:TooFew", "must take (self, inputs, scope)"),
        ("some_steps:NeedsMore", "NeedsMore() must work without arguments"),
        ("some_steps:Abstract", "Abstract() must work without arguments"),
        ("some_steps:number", "is no class"),
        ("no_such_steps:Good", "no module no_such_steps can be imported"),
        ("some_steps.inner:Good", "some_steps"),
        ("broken_steps:Good", "importing broken_steps ends with ZeroDivisionError"),
        ("needing_steps:Good", "needs the module a_module_nobody_has, which is missing"),
        ("some_steps:", "a plug-in is written module:Class"),
        ("../some_steps:Good", "a plug-in is written module:Class"),
    ],
)
def test_a_plug_in_that_is_none_is_refused_with_what_is_missing(
    plugins: Path, kind: str, reason: str
) -> None:
    assert reason in refused(kind)


async def test_a_plug_in_is_a_step_like_any_other(plugins: Path) -> None:
    document = {"name": "x", "steps": [{"id": "a", "type": "some_steps:Good"}]}
    definition = parse_definition(document, "x.yaml", {})
    result = await Executor(definition, {}, Registry()).run({}, {})
    assert result.output == {"a": {"done": "a"}}


def test_what_is_not_here_any_more_is_told_when_it_is_needed() -> None:
    with pytest.raises(FailedPrecondition) as error:
        factory_of("no_such_steps:Good", {})
    assert error.value.reason == "STEP_TYPE_NOT_THERE"


@pytest.mark.parametrize(
    ("text", "paints", "turns"),
    [("A red boat on a blue lake", ["#c62828", "#1f4e9e"], 1), ("A boat", ["#fafafa"], 2)],
)
async def test_the_example_of_the_documentation_does_what_it_says(
    monkeypatch: pytest.MonkeyPatch, text: str, paints: list[str], turns: int
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    definition = parse_definition(load_document(EXAMPLES / "palette.yaml"), "palette.yaml", {})
    given: JsonObject = {"text": text}
    result = await Executor(definition, {}, Registry()).run(given, {})
    assert result.state == "succeeded"
    painted = result.output["painted"]
    assert isinstance(painted, dict)
    assert painted["paints"] == paints
    assert max(one.iteration for one in result.steps) == turns


async def test_a_step_is_tested_without_any_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    scope = StepScope(RunId.new(), "palette", 1, 1, {"most": 2}, Registry({}))
    palette = factory_of("palette_steps:Palette", {})()
    found = await palette.run({"text": "a blue, red lake"}, scope)
    assert found["colours"] == ["blue", "red"]
