"""A pipeline as a file says it: the whole grammar. Pure.

    name, title{language}, description{language}
    steps: [{id, type, config{}, inputs{}, retry{}, timeout_seconds, fallback{}}]
    flow: {start_at, paths: [{from_step, to_step, condition, limit}]}

Without a flow the steps follow one another as they stand. docs/pipelines.md has examples.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from services.kit.defects import CatalogueError
from services.orchestrator.engine.flow_check import check_flow
from services.orchestrator.engine.graph import Flow, Path, Retry, StepDefinition
from services.orchestrator.engine.kinds import Factories, config_defect, defect_of
from services.orchestrator.engine.reader import Reader, at, kind_of
from services.orchestrator.engine.reference_check import check_references
from services.orchestrator.engine.step_parser import StepParser
from services.orchestrator.engine.values import Values

__all__ = ["Definition", "Flow", "Path", "Retry", "StepDefinition", "parse_definition"]

# A plan holds it, and has 256 KiB for everything.
MAX_DOCUMENT_CHARACTERS = 64 * 1024
_NAME = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
_FIELDS = ("name", "title", "description", "steps", "flow")


@dataclass(frozen=True)
class Definition:
    """A pipeline without defects.

    Attributes:
        name: ``^[a-z0-9_]{1,64}$``.
        flow: what is to be done.
        document: canonical JSON of the file; `parse_definition(json.loads(document), …)` gives an
            equal definition.
        title: by language, BCP 47.
        description: by language, BCP 47.
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


def parse_definition(
    data: object,
    source: str,
    factories: Factories | None = None,
    values: Values | None = None,
) -> Definition:
    """Return the pipeline that a file says.

    Args:
        data: what the file holds, as YAML or JSON gives it.
        source: name of the file, for defects.
        factories: the types there are; plug-ins are imported and looked at. None to take any type,
            for a document that was accepted before.
        values: what there is in `input`, `plan` and `output`; None to take any name.

    Raises CatalogueError with all defects, each with the path of its field.
    """
    reader = Reader(source)
    data = reader.plain(data, "")
    document = _canonical(data, reader)
    fields = reader.fields(data, "", _FIELDS)
    name = _name(reader, fields)
    title = _by_language(reader, fields, "title")
    description = _by_language(reader, fields, "description")
    parser = StepParser(reader)
    flow = parser.flow(fields.get("steps"), fields.get("flow"), "")
    if factories is not None:
        for place, step in parser.places.items():
            reason = defect_of(step.kind, factories) if step.kind else None
            if reason is not None:
                reader.wrong(f"{place}.type", reason)
                continue
            wrong = config_defect(step.kind, step.config, step.id, factories)
            if wrong is not None:
                field = at(f"{place}.config", wrong[0]) if wrong[0] else f"{place}.config"
                reader.wrong(field, wrong[1])
    check_flow(reader, flow, parser.flow_places)
    if not reader.defects:
        # Before that, half of what is referred to may be missing for another reason.
        check_references(reader, flow, parser, factories, values)
    if reader.defects:
        raise CatalogueError(reader.defects)
    return Definition(name, flow, document, title, description)


def _canonical(data: object, reader: Reader) -> str:
    text = json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    if len(text) > MAX_DOCUMENT_CHARACTERS:
        reader.wrong("", f"larger than {MAX_DOCUMENT_CHARACTERS} characters")
    return text


def _name(reader: Reader, fields: Mapping[str, Any]) -> str:
    if "name" not in fields:
        reader.wrong("name", "is missing")
        return ""
    name = fields["name"]
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        found = name if isinstance(name, str) else kind_of(name)
        reader.wrong("name", f"expected 1 to 64 of a-z, 0-9 and _, found {found}")
        return ""
    return name


def _by_language(reader: Reader, fields: Mapping[str, Any], key: str) -> Mapping[str, str]:
    if key not in fields:
        return {}
    found = reader.mapping(fields[key], key)
    for language, text in found.items():
        if _LANGUAGE.fullmatch(language) is None:
            reader.wrong(f"{key}.{language}", "expected a language like en or de")
        reader.text(text, f"{key}.{language}", most=2_000)
    return found
