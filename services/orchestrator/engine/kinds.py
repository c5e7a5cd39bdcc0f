"""The kinds of steps there are: types by name, and plug-ins by ``module:Class``. Pure.

A plug-in is code of whoever runs the service, found by import: whatever Python finds, it finds. It
is looked at before any run follows it. A class may say what it takes and gives (`TAKES`, `GIVES`,
sets of names) and look at its configuration (`check_config`); files are then checked against that.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Set
from typing import cast

from services.kit.errors import FailedPrecondition, InvalidArgument
from services.orchestrator.engine.generic import GENERIC
from services.orchestrator.engine.graph import EACH_OUTPUT
from services.orchestrator.engine.reader import did_you_mean
from services.orchestrator.engine.step import JsonObject, Step

Factory = Callable[[], Step]
Factories = Mapping[str, Factory]

_PLUGIN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def defect_of(kind: str, factories: Factories) -> str | None:
    """Return why there is no such kind of step, for who wrote it; None when there is."""
    if kind == EACH_OUTPUT:
        return None
    if ":" not in kind:
        known = {*GENERIC, *factories, EACH_OUTPUT}
        return None if kind in known else f"there is no type {kind}{did_you_mean(kind, known)}"
    try:
        _plugin(kind)
    except _NoPlugin as error:
        return str(error)
    return None


def factory_of(kind: str, factories: Factories) -> Factory:
    """Return what makes steps of a kind.

    Raises FailedPrecondition STEP_TYPE_NOT_THERE: a file that was accepted elsewhere, or before an
    update, can name what is not here.
    """
    if ":" in kind:
        try:
            return _plugin(kind)
        except _NoPlugin as error:
            raise FailedPrecondition("STEP_TYPE_NOT_THERE", str(error)) from error
    found = factories.get(kind) or GENERIC.get(kind)
    if found is None:
        raise FailedPrecondition("STEP_TYPE_NOT_THERE", f"there is no type {kind} here")
    return found


def taken_by(kind: str, factories: Factories) -> frozenset[str] | None:
    """Return the names of inputs a kind says it takes (`TAKES`); None when it does not say."""
    return _said(kind, factories, "TAKES")


def given_by(kind: str, factories: Factories) -> frozenset[str] | None:
    """Return the names of outputs a kind says it gives (`GIVES`); None when it does not say."""
    return _said(kind, factories, "GIVES")


def config_defect(
    kind: str, config: JsonObject, step: str, factories: Factories
) -> tuple[str, str] | None:
    """Return the field and the reason of what a kind finds wrong with a configuration, or None.

    A class may have a static method `check_config(config, step)`, which raises InvalidArgument for
    the step of this id; the last part of the error's field is the field that is wrong.
    """
    try:
        check = getattr(factory_of(kind, factories), "check_config", None)
        if check is not None:
            check(config, step)
    except InvalidArgument as error:
        return (error.field or "").rpartition(".")[2], error.message
    except FailedPrecondition:
        # It is not there at all, which is told elsewhere.
        return None
    return None


def _said(kind: str, factories: Factories, name: str) -> frozenset[str] | None:
    try:
        said = getattr(factory_of(kind, factories), name, None)
    except FailedPrecondition:
        return None
    return frozenset(map(str, said)) if isinstance(said, Set | tuple | list) else None


class _NoPlugin(Exception):
    pass


def _plugin(kind: str) -> Factory:
    if _PLUGIN.fullmatch(kind) is None:
        raise _NoPlugin("a plug-in is written module:Class, as in my_steps.colours:Palette")
    module_name, class_name = kind.split(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise _NoPlugin(
                f"no module {error.name} can be imported; its folder must be in PYTHONPATH"
            ) from error
        raise _NoPlugin(f"{module_name} needs the module {error.name}, which is missing") from error
    except Exception as error:
        raise _NoPlugin(
            f"importing {module_name} ends with {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, class_name, None)
    if found is None:
        classes = [name for name, one in vars(module).items() if inspect.isclass(one)]
        raise _NoPlugin(
            f"module {module_name} has no {class_name}{did_you_mean(class_name, classes)}"
        )
    if not inspect.isclass(found):
        raise _NoPlugin(f"{class_name} in {module_name} is no class")
    run = getattr(found, "run", None)
    if run is None:
        raise _NoPlugin(f"{class_name} has no method run: async def run(self, inputs, scope)")
    if not inspect.iscoroutinefunction(run):
        raise _NoPlugin(f"run of {class_name} must be async: async def run(self, inputs, scope)")
    if not _takes(run, 3):
        raise _NoPlugin(f"run of {class_name} must take (self, inputs, scope)")
    if inspect.isabstract(found) or not _takes(found, 0):
        raise _NoPlugin(f"{class_name}() must work without arguments")
    return cast(Factory, found)


def _takes(found: Callable[..., object], count: int) -> bool:
    try:
        inspect.signature(found).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True
