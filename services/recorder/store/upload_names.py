"""The files of unfinished uploads, by their names, which `layout` tells."""

from __future__ import annotations

from collections.abc import Iterator

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId, UploadName
from services.recorder.store import atomic
from services.recorder.store.files import names_in

_DATA = ".data"
_RECORD = ".json"
_INTENT = ".intent"


def data_name(name: UploadName) -> str:
    """File of an upload's bytes."""
    return f"{name.run}.{name.upload_id}{_DATA}"


def record_name(name: UploadName) -> str:
    """File of an upload's record."""
    return f"{name.run}.{name.upload_id}{_RECORD}"


def intent_name(name: UploadName) -> str:
    """File of an upload's intent."""
    return f"{name.run}.{name.upload_id}{_INTENT}"


def upload_files(uploads_fd: int) -> Iterator[tuple[str, UploadName | None, bool]]:
    """Every file among the uploads: its name, whose it is, whether it says what they are."""
    for file in names_in(uploads_fd):
        stem, dot, suffix = file.rpartition(".")
        run, _, upload_id = stem.partition(".")
        name = None
        if dot + suffix in (_DATA, _RECORD, _INTENT):
            try:
                name = UploadName(RunId.parse(run), upload_id)
            except InvalidArgument:
                name = None
        yield file, name, dot + suffix != _DATA


def remove_uploads(uploads_fd: int, run_id: RunId) -> None:
    """Erase every upload into a run."""
    for file, name, _ in upload_files(uploads_fd):
        if name is not None and name.run == run_id:
            atomic.erase(uploads_fd, file)
