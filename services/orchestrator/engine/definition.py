"""A pipeline as a file says it: the whole grammar. Pure.

    name, title{language}, description{language}
    steps: [{id, type, config{}, inputs{}, retry{}, timeout_seconds, fallback{}}]
    flow: {start_at, paths: [{from_step, to_step, condition, limit}]}

Without a flow the steps follow one another as they stand. docs/pipelines.md has examples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from services.orchestrator.engine.graph import Flow, Path, Retry, StepDefinition
from services.orchestrator.engine.kinds import Factories

__all__ = ["Definition", "Flow", "Path", "Retry", "StepDefinition", "parse_definition"]


@dataclass(frozen=True)
class Definition:
    """A pipeline without defects.

    Attributes:
        name: ``^[a-z0-9_]{1,64}$``.
        title, description: by language, BCP 47.
        flow: what is to be done.
        document: canonical JSON of the file; `parse_definition(json.loads(document), …)` gives an
            equal definition.
    """

    name: str
    flow: Flow
    document: str
    title: Mapping[str, str] = field(default_factory=dict)
    description: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Of the document, in hexadecimal digits."""
        return hashlib.sha256(self.document.encode()).hexdigest()

    @property
    def steps(self) -> tuple[StepDefinition, ...]:
        """All steps in the order of the file, those of nested bodies included."""
        return tuple(self.flow.walk())


def parse_definition(data: object, source: str, factories: Factories | None = None) -> Definition:
    """Return the pipeline that a file says.

    Args:
        data: what the file holds, as YAML or JSON gives it.
        source: name of the file, for defects.
        factories: the types there are; plug-ins are imported and looked at. None to take any type,
            for a document that was accepted before.

    Raises CatalogueError with all defects, each with the path of its field.
    """
    raise NotImplementedError(json, source, factories)
