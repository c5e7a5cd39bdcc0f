"""Runs as a ZIP file (see `domain.archive` for what is in it). Blocking, in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain

import orjson

from services.kit.errors import Aborted, DataLoss, NotFound, ResourceExhausted
from services.kit.ids import RunId
from services.recorder.archive.report import render_report
from services.recorder.archive.source import (
    RecordedRun,
    RunSource,
    check_bytes,
    load_recorded,
    recorded_bytes,
)
from services.recorder.archive.spool import Spool
from services.recorder.archive.zip_stream import ZipStream
from services.recorder.domain.archive import (
    CRATE,
    LINES,
    MANIFEST,
    MAX_FILES,
    METADATA,
    REPORT,
    ArchivedRun,
    ArchiveFile,
    LeftOut,
    Manifest,
    manifest_document,
    path_in_run,
)
from services.recorder.domain.crate import CONTEXT, head_entities, run_entities, shared_entities
from services.recorder.domain.document import Document
from services.recorder.domain.entity import Entity
from services.recorder.domain.png_stamp import stamp_of, with_stamp
from services.recorder.domain.views import RunView, view
from services.recorder.domain.vocabulary import Audience
from services.recorder.store.codec import encode_document

_PNG = "image/png"
# What is no medium is worth the work of making it smaller.
_COMPRESSED = ("text/", "application/")
_NO_MOMENT = datetime(1980, 1, 1, tzinfo=UTC)


class ZipExport:
    """One archive for one audience.

    Args:
        store: where the runs are.
        audience: who will see it.
        exactly: the runs were named, so each must be there and whole. Otherwise a damaged one is
            left out, which the manifest tells, and so is one that was deleted since it was found.
    """

    def __init__(self, store: RunSource, audience: Audience, *, exactly: bool) -> None:
        self._store = store
        self._audience = audience
        self._exactly = exactly
        self._zip = ZipStream()
        self._as_of: datetime | None = None
        self._runs: list[ArchivedRun] = []
        self._left_out: list[LeftOut] = []
        self._files: list[ArchiveFile] = []
        self._lines = Spool()
        self._graph = Spool()
        self._shared: dict[str, Document] = {}

    def pieces(self, run_ids: Iterable[RunId]) -> Iterator[bytes]:
        """Yield the archive.

        Raises NotFound RUN_NOT_FOUND, DataLoss METADATA_CORRUPT and ENTITY_CORRUPT; Aborted
        RUN_DELETED_MEANWHILE, when it was deleted after its first file was written;
        ResourceExhausted EXPORT_TOO_LARGE.
        """
        for run_id in run_ids:
            recorded = self._whole(run_id)
            if recorded is not None:
                try:
                    yield from self._run(recorded)
                except NotFound as error:
                    raise Aborted(
                        "RUN_DELETED_MEANWHILE", f"{run_id} was deleted while it was exported"
                    ) from error
        yield from self._end()

    def _whole(self, run_id: RunId) -> RecordedRun | None:
        if self._exactly:
            return load_recorded(self._store, run_id)
        try:
            recorded = load_recorded(self._store, run_id)
            # Read twice, because what is in the archive can not be taken out again.
            check_bytes(self._store, view(recorded.run, self._audience))
        except NotFound:
            return None
        except DataLoss as error:
            self._left_out.append(LeftOut(run_id, error.reason, error.message))
            return None
        return recorded

    def _run(self, recorded: RecordedRun) -> Iterator[bytes]:
        run, run_id = recorded.run, recorded.run.run_id
        seen = view(run, self._audience)
        moment = run.finished_at or run.created_at
        first = len(self._files)
        if self._audience is Audience.RESEARCH:
            path = path_in_run(run_id, METADATA)
            yield from self._file(path, moment, [recorded.document], len(recorded.document))
            self._lines.add(recorded.line)
        for entity in seen.present:
            yield from self._entity(recorded, entity)
        report = render_report(self._store, seen, recorded.checksum, embed=False)
        yield from self._file(path_in_run(run_id, REPORT), moment, [report], len(report))
        self._runs.append(ArchivedRun(run_id, run.state, recorded.checksum))
        self._as_of = max(self._as_of or moment, moment)
        self._describe(seen, self._files[first:])

    def _entity(self, recorded: RecordedRun, entity: Entity) -> Iterator[bytes]:
        run_id = recorded.run.run_id
        chunks = recorded_bytes(self._store, run_id, entity)
        stamp = b""
        if entity.media_type == _PNG:
            stamp = stamp_of(run_id.value, entity.sequence, entity.sha256, recorded.checksum)
            chunks = with_stamp(chunks, stamp)
        yield from self._file(
            path_in_run(run_id, entity.filename),
            entity.created_at,
            chunks,
            entity.size_bytes + len(stamp),
            compress=entity.media_type.startswith(_COMPRESSED),
            recorded_sha256=entity.sha256,
        )

    def _file(
        self,
        path: str,
        moment: datetime,
        chunks: Iterable[bytes],
        most_bytes: int,
        *,
        compress: bool = True,
        recorded_sha256: str | None = None,
    ) -> Iterator[bytes]:
        if len(self._files) >= MAX_FILES:
            raise ResourceExhausted(
                "EXPORT_TOO_LARGE", f"more than {MAX_FILES} files; export fewer runs at a time"
            )
        yield from self._zip.add(path, moment, chunks, most_bytes=most_bytes, compress=compress)
        written = self._zip.written
        is_stamped = recorded_sha256 not in (None, written.sha256)
        self._files.append(
            ArchiveFile(path, written.size_bytes, written.sha256, recorded_sha256, is_stamped)
        )

    def _describe(self, seen: RunView, files: Sequence[ArchiveFile]) -> None:
        for document in run_entities(seen, files):
            self._graph.add(b",\n" + orjson.dumps(document))
        for document in shared_entities(seen):
            self._shared[document["@id"]] = document

    def _end(self) -> Iterator[bytes]:
        moment, top = self._as_of or _NO_MOMENT, len(self._files)
        if self._audience is Audience.RESEARCH:
            yield from self._file(LINES, moment, self._lines.read(), self._lines.size_bytes)
        head = head_entities(
            (one.run_id.value for one in self._runs), self._files[top:], self._as_of
        )
        shared = b"".join(b",\n" + orjson.dumps(one) for one in self._shared.values())
        start = b'{"@context":' + orjson.dumps(CONTEXT) + b',"@graph":[\n'
        start += b",\n".join(map(orjson.dumps, head))
        crate = chain([start], self._graph.read(), [shared, b"\n]}\n"])
        size = len(start) + self._graph.size_bytes + len(shared) + 4
        yield from self._file(CRATE, moment, crate, size)
        manifest = Manifest(self._audience, self._as_of, self._runs, self._left_out, self._files)
        document = encode_document(manifest_document(manifest))
        yield from self._zip.add(
            MANIFEST, moment, [document], most_bytes=len(document), compress=True
        )
        yield from self._zip.finish()
