"""From an archive to staged runs: everything in it agrees, or nothing of it is taken. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.kit.ids import RunId
from services.recorder.archive.zip_reader import ZipReader, archive_invalid
from services.recorder.domain.archive import (
    CRATE,
    LINES,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    METADATA,
    REPORT,
    ArchivedRun,
    ArchiveFile,
    Manifest,
    path_in_run,
    read_manifest,
    split_path,
)
from services.recorder.domain.entity import Entity
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.png_stamp import stamp_of, without_stamp
from services.recorder.domain.run import Run
from services.recorder.ports_bytes import StagedImport
from services.recorder.store.codec import decode_run, parse_document

MAX_METADATA_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive whose files are those that its manifest lists, and no others."""

    zip: ZipReader
    manifest: Manifest
    files: Mapping[str, ArchiveFile]
    entities: Mapping[RunId, frozenset[str]]

    @property
    def runs(self) -> Sequence[ArchivedRun]:
        """The runs in it."""
        return self.manifest.runs


def open_archive(staged: StagedImport, max_bytes: int) -> Archive:
    """Return the archive that was staged, its lists checked against one another.

    Raises InvalidArgument ARCHIVE_INVALID.
    """
    file = staged.open_archive()
    try:
        reader = ZipReader(file, file.seek(0, os.SEEK_END), max_bytes)
        manifest = _manifest(reader)
    except BaseException:
        file.close()
        raise
    files = {one.path: one for one in manifest.files}
    return Archive(reader, manifest, files, _entities(manifest))


def check_top(archive: Archive) -> None:
    """Read the files outside of the runs, too. Raises InvalidArgument ARCHIVE_INVALID."""
    for path in (LINES, CRATE):
        for _ in _listed(archive, path):
            pass


def stage_run(archive: Archive, archived: ArchivedRun, staged: StagedImport) -> Run:
    """Put a run beside the archive and return it, verified like every run folder.

    Raises InvalidArgument ARCHIVE_INVALID.
    """
    run_id = archived.run_id
    document = b"".join(_listed(archive, path_in_run(run_id, METADATA), MAX_METADATA_BYTES))
    run = _run(archived, document)
    _check_entities(archive, run)
    staged.write(run_id, METADATA, [document])
    for entity in _present(run):
        path = path_in_run(run_id, entity.filename)
        file = archive.files[path]
        chunks = _listed(archive, path)
        if file.is_stamped:
            stamp = stamp_of(run_id.value, entity.sequence, entity.sha256, archived.checksum)
            chunks = without_stamp(chunks, stamp)
        staged.write(run_id, entity.filename, chunks)
    for _ in _listed(archive, path_in_run(run_id, REPORT)):
        pass
    for defect in staged.defects(run_id):
        raise archive_invalid(f"{run_id}: {defect}")
    return run


def _manifest(reader: ZipReader) -> Manifest:
    if MANIFEST not in reader.files:
        raise archive_invalid(f"there is no {MANIFEST}")
    try:
        data = b"".join(reader.inflate(MANIFEST, MAX_MANIFEST_BYTES))
        manifest = read_manifest(parse_document(data))
    except DocumentError as error:
        raise archive_invalid(f"{MANIFEST}: {error}") from error
    if not manifest.is_complete:
        raise archive_invalid(f"made for {manifest.audience.value}, so it is not complete")
    listed = {one.path: one.size_bytes for one in manifest.files}
    there = {path: info.file_size for path, info in reader.files.items() if path != MANIFEST}
    for path in sorted(listed.keys() | there.keys()):
        if path not in there:
            raise archive_invalid(f"{path}: missing")
        if path not in listed:
            raise archive_invalid(f"{path}: not in the manifest")
        if listed[path] != there[path]:
            raise archive_invalid(f"{path}: not as long as the manifest says")
    for path in _required(manifest):
        if path not in listed:
            raise archive_invalid(f"{path}: missing")
    return manifest


def _required(manifest: Manifest) -> Iterator[str]:
    yield from (LINES, CRATE)
    for one in manifest.runs:
        yield path_in_run(one.run_id, METADATA)
        yield path_in_run(one.run_id, REPORT)


def _listed(archive: Archive, path: str, most_bytes: int | None = None) -> Iterator[bytes]:
    file = archive.files[path]
    if most_bytes is not None and file.size_bytes > most_bytes:
        raise archive_invalid(f"{path}: more than {most_bytes} bytes")
    return archive.zip.read(path, file.size_bytes, file.sha256)


def _run(archived: ArchivedRun, document: bytes) -> Run:
    where = path_in_run(archived.run_id, METADATA)
    try:
        found = parse_document(document)
        run = decode_run(document, archived.run_id)
    except DocumentError as error:
        raise archive_invalid(f"{where}: {error}") from error
    if not run.is_final:
        raise archive_invalid(f"{where}: the run is not final")
    if (found["checksum"], run.state) != (archived.checksum, archived.state):
        raise archive_invalid(f"{where}: not the run that the manifest names")
    return run


def _check_entities(archive: Archive, run: Run) -> None:
    there = archive.entities.get(run.run_id, frozenset())
    for name in sorted(there ^ {one.filename for one in _present(run)}):
        raise archive_invalid(f"{run.run_id}/{name}: in the record or in the archive, not in both")
    for entity in _present(run):
        path = path_in_run(run.run_id, entity.filename)
        if archive.files[path].recorded_sha256 != entity.sha256:
            raise archive_invalid(f"{path}: the manifest and the record disagree")


def _present(run: Run) -> list[Entity]:
    return [one for one in run.entities if not one.is_erased]


def _entities(manifest: Manifest) -> dict[RunId, frozenset[str]]:
    found: dict[RunId, set[str]] = {}
    for file in manifest.files:
        run_id, name = split_path(file.path)
        if run_id is not None and name not in (METADATA, REPORT):
            found.setdefault(run_id, set()).add(name)
    return {run_id: frozenset(names) for run_id, names in found.items()}
