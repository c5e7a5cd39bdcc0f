"""Whether a run folder is what its metadata says. Reads only; needs no service."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId
from services.recorder.domain.archive import FORMAT, MANIFEST, MAX_MANIFEST_BYTES
from services.recorder.domain.document import CHECKSUM
from services.recorder.domain.entity import is_entity_filename
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.png_stamp import stamp_of, without_stamp
from services.recorder.ports import Inspection
from services.recorder.store.atomic import TEMPORARY
from services.recorder.store.codec import decode_run, parse_document
from services.recorder.store.files import (
    exists,
    forget_cached,
    names_in,
    open_folder,
    open_regular,
    read_regular,
)
from services.recorder.store.layout import METADATA

T = TypeVar("T")

# Of an open run it may only mean that its metadata is being written.
NOT_LISTED = f"not listed in {METADATA}"
NOT_ERASED = "erased, and its file is there"
_READ_BYTES = 1024 * 1024


def verify_run(folder: Path) -> list[str]:
    """Return what is wrong with a run folder, one line each; nothing when all is well.

    Checked: the folder's name, schema, form and checksum of metadata.json, the order of entities
    and events, and of each entity its file, size and SHA-256, or that an erased one has no file;
    files nobody lists. In an export that was unpacked a picture may carry its stamp, without which
    it must be what was recorded.
    """
    return finish(inspect_run(folder))


def inspect_run(folder: Path) -> Inspection[list[str]]:
    """The same in small steps."""
    try:
        run_id = RunId.parse(folder.absolute().name)
    except InvalidArgument:
        return [f"{folder}: not a run folder: its name is no run id"]
    try:
        fd = open_folder(folder)
    except OSError as error:
        return [f"{folder}: {error.strerror}"]
    try:
        may_be_stamped = is_export(folder.absolute().parent)
        return (yield from inspect_opened(fd, run_id, may_be_stamped=may_be_stamped))
    finally:
        os.close(fd)


def is_export(folder: Path) -> bool:
    """Whether a folder is an export that was unpacked."""
    try:
        fd = open_folder(folder)
    except OSError:
        return False
    try:
        data = read_regular(fd, MANIFEST, MAX_MANIFEST_BYTES)
        return parse_document(data).get("format") == FORMAT
    except (OSError, DocumentError):
        return False
    finally:
        os.close(fd)


def verify_opened(folder: int, run_id: RunId, *, may_be_stamped: bool = False) -> list[str]:
    """The same of a folder that is open and may lie anywhere."""
    return finish(inspect_opened(folder, run_id, may_be_stamped=may_be_stamped))


def inspect_opened(
    folder: int, run_id: RunId, *, may_be_stamped: bool = False, fresh: bool = False
) -> Inspection[list[str]]:
    """The same in small steps; `fresh` asks the medium, not what the memory holds of it."""
    try:
        document = read_regular(folder, METADATA, fresh=fresh)
        yield len(document)
        run = decode_run(document, run_id)
        checksum = str(parse_document(document)[CHECKSUM])
    except OSError as error:
        return [f"{METADATA}: {error.strerror}"]
    except DocumentError as error:
        return [f"{METADATA}: {error}"]
    defects = []
    for entity in run.entities:
        if entity.is_erased:
            if exists(folder, entity.filename):
                defects.append(f"{entity.filename}: {NOT_ERASED}")
            continue
        stamp = b""
        if may_be_stamped:
            stamp = stamp_of(run_id.value, entity.sequence, entity.sha256, checksum)
        defect = yield from inspect_file(
            folder, entity.filename, entity.size_bytes, entity.sha256, stamp, fresh=fresh
        )
        if defect is not None:
            defects.append(f"{entity.filename}: {defect}")
    listed = {entity.filename for entity in run.entities}
    for name in names_in(folder):
        if name not in listed and (is_entity_filename(name) or name.endswith(TEMPORARY)):
            defects.append(f"{name}: {NOT_LISTED}")
    return defects


def file_defect(
    folder: int, name: str, size_bytes: int, sha256: str, stamp: bytes = b""
) -> str | None:
    """What is wrong with a file that must have this size and digest, without a stamp it may carry.

    None when nothing is.
    """
    return finish(inspect_file(folder, name, size_bytes, sha256, stamp))


def inspect_file(
    folder: int, name: str, size_bytes: int, sha256: str, stamp: bytes = b"", *, fresh: bool = False
) -> Inspection[str | None]:
    """The same in small steps."""
    try:
        fd = open_regular(folder, name)
    except OSError as error:
        return error.strerror
    try:
        if fresh:
            forget_cached(fd)
        size = os.fstat(fd).st_size
        chunks: Iterator[bytes] = iter(lambda: os.read(fd, _READ_BYTES), b"")
        if stamp and size == size_bytes + len(stamp):
            chunks = without_stamp(chunks, stamp)
        elif size != size_bytes:
            return f"{size} bytes instead of {size_bytes}"
        digest = hashlib.sha256()
        for data in chunks:
            digest.update(data)
            yield len(data)
        return None if digest.hexdigest() == sha256 else "not the recorded SHA-256"
    except OSError as error:
        return error.strerror
    finally:
        if fresh:
            # What was read for this alone should not push out what others read.
            forget_cached(fd)
        os.close(fd)


def finish(inspection: Inspection[T]) -> T:
    """Go through to the end without a pause, and return what comes out."""
    while True:
        try:
            next(inspection)
        except StopIteration as end:
            found: T = end.value
            return found
