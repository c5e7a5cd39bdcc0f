"""Catalogue files (YAML or JSON), read so that all defects are told at once.

Each service parses its own files into its own types; what they share is here: finding the files,
refusing duplicate keys and oversized files, and turning a validation error into file, field,
reason.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.composer import Composer

from services.kit.defects import CatalogueError as CatalogueError
from services.kit.defects import Defect as Defect
from services.kit.errors import InvalidArgument
from services.kit.ids import parse_config_name
from services.kit.strict_json import read_json

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
MAX_FILE_BYTES = 1024 * 1024
# A workflow with subgraphs goes a dozen levels deep.
MAX_FILE_DEPTH = 64
_SUFFIXES = {".yaml", ".yml", ".json"}


class _Loader(Composer, yaml.CSafeLoader):
    """SafeLoader that refuses duplicate keys and aliases (a bomb in ten lines).

    Scanned and parsed by libyaml, ten times as fast as in Python: the lists of safety, read at each
    start, are large. Composed in Python, where an alias can be refused.
    """

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        Composer.__init__(self)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            value = self.construct_object(key, deep=True)
            if value in seen:
                raise yaml.YAMLError(f"duplicate key {value!r}")
            seen.add(value)
        return super().construct_mapping(node, deep=deep)


M = TypeVar("M", bound=BaseModel)


def load_document(path: Path) -> Any:
    """Return the content of one file, `.json` as JSON and everything else as YAML.

    In JSON, but not in YAML, two escapes make one character beyond the basic plane, as programs
    write an emoji. Raises ValueError with the reason.
    """
    try:
        data = path.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
        text = data.decode("utf-8-sig")
        if path.suffix == ".json":
            return read_json(text, MAX_FILE_DEPTH)
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise ValueError(error.strerror or "cannot be read") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def parse_document(path: Path, kind: type[M], defects: list[Defect]) -> M | None:
    """Return one file as `kind`; on defects add them to the list and return None."""
    try:
        return kind.model_validate(load_document(path))
    except ValidationError as error:
        for found in error.errors(include_input=False, include_url=False):
            field = ".".join(str(part) for part in found["loc"])
            defects.append(Defect(path.name, field, found["msg"]))
    except ValueError as error:
        defects.append(Defect(path.name, "", str(error)))
    return None


def parse_folder(folder: Path, kind: type[M], defects: list[Defect]) -> Mapping[str, M]:
    """Return every catalogue file of a folder as `kind`, by its stem, sorted.

    A missing or empty folder, a stem that is no config name, and two files with one stem are
    defects.
    """
    found: dict[str, M] = {}
    seen: set[str] = set()
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in paths:
        if path.suffix not in _SUFFIXES:
            continue
        try:
            parse_config_name(path.stem)
        except InvalidArgument as error:
            defects.append(Defect(path.name, "", f"file name: {error.message}"))
            continue
        if path.stem in seen:
            defects.append(Defect(path.name, "", "a second file with this name"))
            continue
        seen.add(path.stem)
        parsed = parse_document(path, kind, defects)
        if parsed is not None:
            found[path.stem] = parsed
    if not seen:
        defects.append(Defect(str(folder.name), "", "no catalogue files here"))
    return found
