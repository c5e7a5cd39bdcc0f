"""The kinds of steps there are: types by name, and plug-ins by `module:Class`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.orchestrator.engine.step import Step

Factory = Callable[[], Step]
Factories = Mapping[str, Factory]
