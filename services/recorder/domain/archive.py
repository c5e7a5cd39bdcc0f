"""An archive of runs: the names in it, and the manifest that says what each file must be. Pure.

    <run_id>/metadata.json, NN_type.ext    a run folder, its PNGs stamped (`png_stamp`)
    <run_id>/report.html                   the run for people
    runs.jsonl                             metadata.json of every run, one a line
    ro-crate-metadata.json                 what is here, for other programs
    manifest.json                          every file with its size and digests

For others than research there is neither metadata.json nor runs.jsonl. Nothing in an archive
depends on when or where it was made: the same runs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId
from services.recorder.domain.document import LAYOUT_VERSION, Document, time_text
from services.recorder.domain.entity import is_entity_filename
from services.recorder.domain.fields import MAX_INT64, Fields
from services.recorder.domain.vocabulary import Audience, RunState

FORMAT = "artlab-export"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
CRATE = "ro-crate-metadata.json"
LINES = "runs.jsonl"
METADATA = "metadata.json"
REPORT = "report.html"
MAX_RUNS = 10_000
MAX_FILES = 100_000
MAX_MANIFEST_BYTES = 64 * 1024 * 1024
_NO_NAME = "not a name of an archive"
_AT_TOP = frozenset({MANIFEST, CRATE, LINES})


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file as it is in the archive; `recorded_sha256` is what its run recorded of an entity."""

    path: str
    size_bytes: int
    sha256: str
    recorded_sha256: str | None = None
    is_stamped: bool = False


@dataclass(frozen=True, slots=True)
class ArchivedRun:
    """A run that is in the archive; `checksum` is that of its metadata.json."""

    run_id: RunId
    state: RunState
    checksum: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that was meant but is damaged where it was recorded."""

    run_id: RunId
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds. `as_of` is when the newest of its runs became final."""

    audience: Audience
    as_of: datetime | None
    runs: Sequence[ArchivedRun]
    left_out: Sequence[LeftOut]
    files: Sequence[ArchiveFile]

    @property
    def is_complete(self) -> bool:
        """Whether all of every run in it is there, so that it can be imported."""
        return self.audience is Audience.RESEARCH


def path_in_run(run_id: RunId, filename: str) -> str:
    """The path of a run's file."""
    return f"{run_id}/{filename}"


def split_path(path: str) -> tuple[RunId | None, str]:
    """Return whose file it is (None: nobody's) and its name there.

    Raises ValueError for every path that no archive has.
    """
    folder, slash, filename = path.rpartition("/")
    if not slash:
        if filename in _AT_TOP:
            return None, filename
        raise ValueError(_NO_NAME)
    if filename not in (METADATA, REPORT) and not is_entity_filename(filename):
        raise ValueError(_NO_NAME)
    try:
        return RunId.parse(folder), filename
    except InvalidArgument:
        raise ValueError(_NO_NAME) from None


def manifest_document(manifest: Manifest) -> Document:
    """Return manifest.json without its checksum."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "layout_version": LAYOUT_VERSION,
        "audience": manifest.audience.value,
        "complete": manifest.is_complete,
        "as_of": None if manifest.as_of is None else time_text(manifest.as_of),
        "runs": [
            {"run_id": one.run_id.value, "status": one.state.value, "checksum": one.checksum}
            for one in manifest.runs
        ],
        "left_out": [
            {"run_id": one.run_id.value, "reason": one.reason, "message": one.message}
            for one in manifest.left_out
        ],
        "files": [_file_document(one) for one in manifest.files],
    }


def read_manifest(document: object) -> Manifest:
    """Return the manifest a document tells. Raises DocumentError."""
    fields = Fields(document)
    if fields.text("format") != FORMAT:
        raise fields.wrong("format", f"expected {FORMAT}")
    for key, known in (("format_version", FORMAT_VERSION), ("layout_version", LAYOUT_VERSION)):
        if fields.number(key) != known:
            raise fields.wrong(key, f"expected {known}")
    manifest = Manifest(
        audience=fields.word("audience", Audience),
        as_of=fields.time_or_none("as_of"),
        runs=[
            ArchivedRun(_run_id(one), one.word("status", RunState), one.sha256("checksum"))
            for one in fields.objects("runs")
        ],
        left_out=[
            LeftOut(_run_id(one), one.text("reason"), one.text("message"))
            for one in fields.objects("left_out")
        ],
        files=[_file(one) for one in fields.objects("files")],
    )
    if fields.flag("complete") is not manifest.is_complete:
        raise fields.wrong("complete", "does not follow from the audience")
    _check(manifest, fields)
    return manifest


def _check(manifest: Manifest, fields: Fields) -> None:
    run_ids = {one.run_id for one in manifest.runs}
    if len(run_ids) != len(manifest.runs):
        raise fields.wrong("runs", "one is named twice")
    paths = {one.path for one in manifest.files}
    if len(paths) != len(manifest.files) or MANIFEST in paths:
        raise fields.wrong("files", "one is named twice")
    for path in paths:
        run_id, _ = split_path(path)
        if run_id is not None and run_id not in run_ids:
            raise fields.wrong("files", "a file of a run that is not in it")


def _file(fields: Fields) -> ArchiveFile:
    path = fields.text("path")
    try:
        split_path(path)
    except ValueError:
        raise fields.wrong("path", _NO_NAME) from None
    is_entity = fields.has("recorded_sha256")
    return ArchiveFile(
        path=path,
        size_bytes=fields.number("size_bytes", most=MAX_INT64),
        sha256=fields.sha256("sha256"),
        recorded_sha256=fields.sha256("recorded_sha256") if is_entity else None,
        is_stamped=fields.flag("stamped") if is_entity else False,
    )


def _file_document(file: ArchiveFile) -> Document:
    document: Document = {
        "path": file.path,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
    }
    if file.recorded_sha256 is not None:
        document |= {"recorded_sha256": file.recorded_sha256, "stamped": file.is_stamped}
    return document


def _run_id(fields: Fields) -> RunId:
    try:
        return RunId.parse(fields.text("run_id"))
    except InvalidArgument as error:
        raise fields.parsed("run_id", error) from None
