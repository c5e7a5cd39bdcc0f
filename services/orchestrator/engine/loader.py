"""Reads the pipelines of a catalogue: one file each, in configs/pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from services.kit.catalogue import load_document
from services.kit.defects import CatalogueError, Defect
from services.orchestrator.engine.definition import Definition, parse_definition
from services.orchestrator.engine.kinds import Factories
from services.orchestrator.engine.values import VALUES

FOLDER = "pipelines"
_SUFFIXES = {".yaml", ".yml", ".json"}


def load_pipeline(path: Path, factories: Factories) -> Definition:
    """Return the pipeline of one file. Raises CatalogueError with all defects."""
    try:
        data = load_document(path)
    except ValueError as error:
        raise CatalogueError([Defect(path.name, "", str(error))]) from error
    return parse_definition(data, path.name, factories, VALUES)


def load_pipelines(configs: Path, factories: Factories) -> Mapping[str, Definition]:
    """Return all pipelines below `configs`/pipelines, by name, sorted.

    A file is called as its pipeline. Raises CatalogueError with the defects of all files.
    """
    folder = configs / FOLDER
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    found: dict[str, Definition] = {}
    defects: list[Defect] = []
    for path in (one for one in paths if one.suffix in _SUFFIXES):
        try:
            definition = load_pipeline(path, factories)
        except CatalogueError as error:
            defects += error.defects
            continue
        if definition.name != path.stem:
            reason = f"the file is called {path.stem}, the pipeline {definition.name}"
            defects.append(Defect(path.name, "name", reason))
        elif definition.name in found:
            defects.append(Defect(path.name, "", "a second file with this name"))
        found[definition.name] = definition
    if not found and not defects:
        defects.append(Defect(FOLDER, "", "no pipelines here"))
    if defects:
        raise CatalogueError(defects)
    return found
