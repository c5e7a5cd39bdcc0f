"""Reads a run folder of the predecessor. Never writes there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.kit.errors import InvalidArgument
from services.recorder.domain.content import MAX_JSON_BYTES, Content
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.media_type import JSON
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import EntityType
from services.recorder.legacy.convert import LegacyBytes, convert
from services.recorder.legacy.document import LegacyEntity, LegacyReading, read_legacy
from services.recorder.sniff import media_type_of
from services.recorder.store.files import FOLDER, names_in, open_folder, open_regular, read_regular
from services.recorder.store.layout import METADATA

FINAL = "final"
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
_READ_BYTES = 1024 * 1024


class LegacyError(ValueError):
    """A run of the predecessor that cannot be taken over; says why."""


@dataclass(frozen=True, slots=True)
class LegacyRun:
    """A run as ours, and where the bytes of its entities lie."""

    run: Run
    original_id: str
    # Path below the legacy folder of each entity, in their order.
    paths: tuple[str, ...]
    # Entities of types that this system does not know, which it cannot hold.
    left_out: tuple[str, ...]


def find_legacy(folder: Path) -> list[Path]:
    """Return the legacy run folders in a folder, or the folder itself, sorted.

    The predecessor kept runs beside one another at first, later below a date and a device.
    """
    found = []
    for here, folders, files in os.walk(folder):
        folders.sort()
        if METADATA in files:
            found.append(Path(here))
            folders.clear()
    return found


def read_run(folder: Path, reading: LegacyReading) -> LegacyRun:
    """Return the run of a legacy folder. Raises LegacyError; reads every byte once."""
    try:
        with _opened(folder) as fds:
            return _read(fds, reading)
    except DocumentError as error:
        raise LegacyError(f"{METADATA}: {error}") from error
    except OSError as error:
        raise LegacyError(f"{error.filename or folder}: {error.strerror}") from error


def open_legacy(folder: Path, path: str) -> int:
    """Open a file of a legacy folder that `read_run` found. Raises OSError."""
    place, _, name = path.rpartition("/")
    with _opened(folder) as fds:
        return open_regular(fds[place], name)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[dict[str, int]]:
    """The descriptors of the folder and, where there is one, of its `final/`."""
    with contextlib.ExitStack() as stack:
        fds = {"": open_folder(folder)}
        stack.callback(os.close, fds[""])
        with contextlib.suppress(FileNotFoundError):
            fds[FINAL] = os.open(FINAL, FOLDER, dir_fd=fds[""])
            stack.callback(os.close, fds[FINAL])
        yield fds


@contextlib.contextmanager
def _file(fds: dict[str, int], path: str) -> Iterator[int]:
    place, _, name = path.rpartition("/")
    fd = open_regular(fds[place], name)
    try:
        yield fd
    finally:
        os.close(fd)


def _read(fds: dict[str, int], reading: LegacyReading) -> LegacyRun:
    data = read_regular(fds[""], METADATA, MAX_DOCUMENT_BYTES)
    document = read_legacy(data, reading)
    known = {one.value: one for one in EntityType}
    found, paths, left_out = [], [], []
    for entity in document.entities:
        entity_type = known.get(entity.type)
        if entity_type is None or entity_type is EntityType.LEGACY_METADATA:
            left_out.append(f"{entity.filename}: the type {entity.type!r} is not known here")
            continue
        path = _path(fds, entity)
        found.append(_look(fds, path, entity, entity_type))
        paths.append(path)
    itself = LegacyEntity(
        len(document.entities) + 1,
        EntityType.LEGACY_METADATA.value,
        METADATA,
        document.created_at,
        {"layout": "predecessor", "run_id": document.original_id},
    )
    digest = hashlib.sha256(data).hexdigest()
    original = LegacyBytes(itself, EntityType.LEGACY_METADATA, JSON, len(data), digest, None)
    return LegacyRun(
        convert(document, found, original),
        document.original_id,
        (*paths, METADATA),
        tuple(left_out),
    )


def _path(fds: dict[str, int], entity: LegacyEntity) -> str:
    for place in fds:
        if entity.filename in names_in(fds[place]):
            return f"{place}/{entity.filename}".lstrip("/")
    raise LegacyError(f"{entity.filename}: missing")


def _look(
    fds: dict[str, int], path: str, entity: LegacyEntity, entity_type: EntityType
) -> LegacyBytes:
    content = Content(entity_type)
    body = b""
    with _file(fds, path) as source:
        while data := os.read(source, _READ_BYTES):
            content.add(data)
            body = (body + data)[: MAX_JSON_BYTES + 1]
    try:
        media_type = media_type_of(content)
    except InvalidArgument as error:
        raise LegacyError(f"{path}: {error.reason}, {error.message}") from error
    said = json.loads(body) if media_type == JSON else None
    return LegacyBytes(entity, entity_type, media_type, content.size_bytes, content.sha256, said)
