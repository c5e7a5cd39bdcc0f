"""Whether a run folder is what its metadata says. Reads only; needs no service."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId
from services.recorder.domain.entity import Entity, is_entity_filename
from services.recorder.domain.fields import DocumentError
from services.recorder.store.atomic import TEMPORARY
from services.recorder.store.codec import decode_run
from services.recorder.store.files import names_in, open_folder, open_regular, read_regular
from services.recorder.store.layout import METADATA

_READ_BYTES = 1024 * 1024


def verify_run(folder: Path) -> list[str]:
    """Return what is wrong with a run folder, one line each; nothing when all is well.

    Checked: the folder's name, schema and checksum of metadata.json, the order of entities and
    events, and of each entity its file, size and SHA-256; files nobody lists.
    """
    try:
        run_id = RunId.parse(folder.absolute().name)
    except InvalidArgument:
        return [f"{folder}: not a run folder: its name is no run id"]
    try:
        fd = open_folder(folder)
    except OSError as error:
        return [f"{folder}: {error.strerror}"]
    try:
        return verify_opened(fd, run_id)
    finally:
        os.close(fd)


def verify_opened(folder: int, run_id: RunId) -> list[str]:
    """The same of a folder that is open and may lie anywhere."""
    try:
        run = decode_run(read_regular(folder, METADATA), run_id)
    except OSError as error:
        return [f"{METADATA}: {error.strerror}"]
    except DocumentError as error:
        return [f"{METADATA}: {error}"]
    defects = [
        f"{entity.filename}: {defect}"
        for entity in run.entities
        if (defect := _entity_defect(folder, entity)) is not None
    ]
    listed = {entity.filename for entity in run.entities}
    for name in names_in(folder):
        if name not in listed and (is_entity_filename(name) or name.endswith(TEMPORARY)):
            defects.append(f"{name}: not listed in {METADATA}")
    return defects


def _entity_defect(folder: int, entity: Entity) -> str | None:
    try:
        fd = open_regular(folder, entity.filename)
    except OSError as error:
        return error.strerror
    try:
        size = os.fstat(fd).st_size
        if size != entity.size_bytes:
            return f"{size} bytes instead of {entity.size_bytes}"
        digest = hashlib.sha256()
        while data := os.read(fd, _READ_BYTES):
            digest.update(data)
        return None if digest.hexdigest() == entity.sha256 else "not the recorded SHA-256"
    except OSError as error:
        return error.strerror
    finally:
        os.close(fd)
