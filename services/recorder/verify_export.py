"""Whether an export that was unpacked is what its manifest says. Reads only; needs no service."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from services.kit.ids import RunId
from services.recorder.domain.archive import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    ArchivedRun,
    ArchiveFile,
    Manifest,
    read_manifest,
    split_path,
)
from services.recorder.domain.entity import sequence_of
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.png_stamp import stamp_of
from services.recorder.store.codec import parse_document
from services.recorder.store.files import FOLDER, names_in, open_folder, read_regular
from services.recorder.verify import file_defect, verify_opened


def verify_export(folder: Path) -> tuple[Manifest | None, list[str]]:
    """Return the manifest, and what is wrong with the folder, one line each.

    Checked: size and SHA-256 of every file, that there are no others, and every run folder as
    `verify_run` does. What was made for others than research has no run folders; of its entities
    it is checked that they are what was recorded.
    """
    try:
        fd = open_folder(folder)
    except OSError as error:
        return None, [f"{error.strerror}"]
    try:
        try:
            data = read_regular(fd, MANIFEST, MAX_MANIFEST_BYTES)
            manifest = read_manifest(parse_document(data))
        except OSError as error:
            return None, [f"{MANIFEST}: {error.strerror}"]
        except DocumentError as error:
            return None, [f"{MANIFEST}: {error}"]
        return manifest, list(_defects(fd, manifest))
    finally:
        os.close(fd)


def _defects(top: int, manifest: Manifest) -> Iterator[str]:
    of_runs: dict[RunId, dict[str, ArchiveFile]] = {run.run_id: {} for run in manifest.runs}
    at_top = {MANIFEST, *(run_id.value for run_id in of_runs)}
    for file in manifest.files:
        run_id, name = split_path(file.path)
        if run_id is not None:
            of_runs[run_id][name] = file
            continue
        at_top.add(name)
        defect = file_defect(top, name, file.size_bytes, file.sha256)
        if defect is not None:
            yield f"{name}: {defect}"
    for name in names_in(top):
        if name not in at_top:
            yield f"{name}: not in {MANIFEST}"
    for run in manifest.runs:
        try:
            folder = os.open(run.run_id.value, FOLDER, dir_fd=top)
        except OSError as error:
            yield f"{run.run_id}: {error.strerror}"
            continue
        try:
            for defect in _run_defects(folder, run, of_runs[run.run_id], manifest.is_complete):
                yield f"{run.run_id}/{defect}"
        finally:
            os.close(folder)


def _run_defects(
    folder: int, run: ArchivedRun, files: Mapping[str, ArchiveFile], is_complete: bool
) -> Iterator[str]:
    for name in names_in(folder):
        if name not in files:
            yield f"{name}: not in {MANIFEST}"
    for name, file in files.items():
        defect = file_defect(folder, name, file.size_bytes, file.sha256)
        if defect is not None:
            yield f"{name}: {defect}"
        elif file.recorded_sha256 is not None and not _is_as_recorded(folder, run, name, file):
            yield f"{name}: not the recorded SHA-256"
    if is_complete:
        yield from verify_opened(folder, run.run_id, may_be_stamped=True)


def _is_as_recorded(folder: int, run: ArchivedRun, name: str, file: ArchiveFile) -> bool:
    if file.recorded_sha256 is None or not file.is_stamped:
        return file.recorded_sha256 == file.sha256
    stamp = stamp_of(run.run_id.value, sequence_of(name), file.recorded_sha256, run.checksum)
    size = file.size_bytes - len(stamp)
    return file_defect(folder, name, size, file.recorded_sha256, stamp) is None
