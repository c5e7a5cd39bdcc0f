"""Exports as the recorder answers them: what is wanted, found and checked, then sent in pieces."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, replace

from services.kit.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)
from services.kit.ids import RunId
from services.recorder.archive.report import render_report
from services.recorder.archive.source import load_recorded
from services.recorder.archive.zip_export import ZipExport
from services.recorder.archive.zip_stream import PIECE_BYTES
from services.recorder.domain.archive import MAX_RUNS
from services.recorder.domain.filter import Filter
from services.recorder.domain.views import view
from services.recorder.domain.vocabulary import FINAL_RUN_STATES, Audience, ExportFormat
from services.recorder.library import Library
from services.recorder.ports import Store
from services.recorder.table import RunTable
from services.recorder.threads import Threads

MAX_EXPORTS = 4
RETRY_WHEN_BUSY_SECONDS = 5.0
# Pieces per visit to a thread.
_BATCH = 4
_PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be exported: runs by name, or those a filter finds; one of the two."""

    audience: Audience
    run_ids: tuple[RunId, ...]
    filter: Filter | None
    format: ExportFormat


class Exporting:
    """Makes exports.

    Args:
        store: where the runs are.
        table: which of them are open.
        threads: where the disk is waited for.
        library: finds the runs that fit a filter.
    """

    def __init__(self, store: Store, table: RunTable, threads: Threads, library: Library) -> None:
        self._store = store
        self._table = table
        self._threads = threads
        self._library = library
        self._running = 0

    async def export(self, wish: Wish) -> AsyncGenerator[bytes, None]:
        """Yield the file, in pieces of at most 256 KiB.

        Raises PermissionDenied AUDIENCE_TOO_LOW; NotFound RUN_NOT_FOUND, NO_RUNS;
        FailedPrecondition RUN_OPEN; InvalidArgument ONE_RUN_REQUIRED; ResourceExhausted
        EXPORT_TOO_LARGE, TOO_MANY_EXPORTS; DataLoss METADATA_CORRUPT, ENTITY_CORRUPT; Aborted
        RUN_DELETED_MEANWHILE.
        """
        if wish.format is ExportFormat.JSON_LINES and wish.audience is not Audience.RESEARCH:
            raise PermissionDenied(
                "AUDIENCE_TOO_LOW", "JSON Lines hold everything", field="audience"
            )
        if self._running >= MAX_EXPORTS:
            raise ResourceExhausted(
                "TOO_MANY_EXPORTS",
                f"{MAX_EXPORTS} exports are being made",
                retry_after_seconds=RETRY_WHEN_BUSY_SECONDS,
            )
        self._running += 1
        try:
            pieces = self._pieces(wish, await self._chosen(wish))
            while batch := await self._threads.run(_take, pieces):
                for piece in batch:
                    yield piece
        finally:
            self._running -= 1

    async def _chosen(self, wish: Wish) -> Sequence[RunId]:
        if wish.filter is None:
            for run_id in wish.run_ids:
                run = await self._table.read(run_id)
                if not run.is_final:
                    raise FailedPrecondition("RUN_OPEN", f"{run_id} is not final yet")
            found = list(dict.fromkeys(wish.run_ids))
        else:
            found = await self._fitting(wish.filter, wish.audience)
            if not found:
                raise NotFound("NO_RUNS", "no final run fits")
        if wish.format is ExportFormat.HTML and len(found) != 1:
            raise InvalidArgument(
                "ONE_RUN_REQUIRED", f"a report is about one run, not {len(found)}", field="names"
            )
        if wish.format is ExportFormat.ZIP and len(found) > MAX_RUNS:
            raise ResourceExhausted(
                "EXPORT_TOO_LARGE", f"{len(found)} runs; at most {MAX_RUNS} in one file"
            )
        return found

    async def _fitting(self, wanted: Filter, audience: Audience) -> list[RunId]:
        # What is not final yet may still change.
        states = (wanted.states or FINAL_RUN_STATES) & FINAL_RUN_STATES
        found: list[RunId] = []
        token = ""
        while states:
            page = await self._library.page(
                replace(wanted, states=states), audience, token, _PAGE_SIZE
            )
            found.extend(one.summary.run.run_id for one in page.runs)
            token = page.next_token
            if not token:
                break
        return found

    def _pieces(self, wish: Wish, run_ids: Sequence[RunId]) -> Iterator[bytes]:
        exactly = wish.filter is None
        if wish.format is ExportFormat.ZIP:
            return ZipExport(self._store, wish.audience, exactly=exactly).pieces(run_ids)
        if wish.format is ExportFormat.JSON_LINES:
            return _lines(self._store, run_ids, exactly=exactly)
        return _report(self._store, run_ids[0], wish.audience)


def _lines(store: Store, run_ids: Sequence[RunId], *, exactly: bool) -> Iterator[bytes]:
    waiting = bytearray()
    for run_id in run_ids:
        try:
            line = load_recorded(store, run_id).line
        except NotFound:
            if exactly:
                raise
            continue  # deleted since it was found
        waiting += line
        if len(waiting) >= PIECE_BYTES:
            yield from _cut(bytes(waiting))
            waiting.clear()
    yield from _cut(bytes(waiting))


def _report(store: Store, run_id: RunId, audience: Audience) -> Iterator[bytes]:
    recorded = load_recorded(store, run_id)
    seen = view(recorded.run, audience)
    yield from _cut(render_report(store, seen, recorded.checksum, embed=True))


def _cut(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), PIECE_BYTES):
        yield data[at : at + PIECE_BYTES]


def _take(pieces: Iterator[bytes]) -> list[bytes]:
    return list(itertools.islice(pieces, _BATCH))
