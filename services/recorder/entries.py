"""What an index keeps of a run, read from the run and its folder. Blocking."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import closing

from services.kit.errors import ArtlabError, NotFound
from services.kit.ids import RunId
from services.kit.log import facts
from services.kit.text import MAX_TEXT_BYTES
from services.recorder.domain.entity import Entity
from services.recorder.domain.folding import fold
from services.recorder.domain.renders import renders_of
from services.recorder.domain.run import Run
from services.recorder.domain.summary import input_of, summarize
from services.recorder.domain.vocabulary import Audience
from services.recorder.index.port import Entry
from services.recorder.ports import Stamp, Store

log = logging.getLogger(__name__)


class Entries:
    """Makes entries; remembers the inputs of open runs, which change often otherwise."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._texts: dict[RunId, str | None] = {}

    def entry(self, run: Run, stamp: Stamp | None, *, is_durable: bool) -> Entry:
        """Return what is kept of a run; the stamp was taken before the run was read."""
        text, audience = self._input(run)
        if run.is_final:
            self._texts.pop(run.run_id, None)
        else:
            stamp = None
        renders = renders_of(run)
        if renders and self._store.is_imported(run.run_id):
            renders = frozenset()
        return Entry(summarize(run), text, audience, stamp, is_durable, renders)

    def saved(self, run: Run) -> Entry:
        """Return what is kept of a run that has just become durable."""
        if not run.is_final:
            return self.entry(run, None, is_durable=True)
        stamp = self.stamp(run.run_id)
        try:
            # Since then somebody may have changed the file, and the stamp would vouch for that.
            is_same = self._store.load_run(run.run_id) == run
        except ArtlabError:
            is_same = False  # why, is told to whoever reads the run
        return self.entry(run, stamp if is_same else None, is_durable=True)

    def read(self, run_id: RunId) -> Entry:
        """Return what is kept of a run as it is in its folder. Raises as `Store.load_run`."""
        stamp = self.stamp(run_id)
        # Perhaps somebody has just put it there: nobody has made that durable.
        return self.entry(self._store.load_run(run_id), stamp, is_durable=False)

    def load(self, run_ids: Iterable[RunId]) -> Iterator[Entry]:
        """Yield the entry of every run that can be read."""
        for run_id in run_ids:
            try:
                yield self.read(run_id)
            except NotFound:
                continue
            except ArtlabError as error:
                log.error("run is left out", extra=facts(run=str(run_id), why=str(error)))

    def stamp(self, run_id: RunId) -> Stamp | None:
        """Return the stamp of a run's metadata.json; None when it cannot be told."""
        try:
            return self._store.stamp(run_id)
        except ArtlabError:
            return None  # who reads the run is told why

    def forget(self, run_ids: Iterable[RunId]) -> None:
        """Forget the inputs of runs that are gone."""
        for run_id in run_ids:
            self._texts.pop(run_id, None)

    def _input(self, run: Run) -> tuple[str, Audience] | tuple[None, None]:
        found = input_of(run)
        if found is None:
            return None, None
        entity, audience = found
        if entity.is_erased:
            return None, None
        if run.run_id not in self._texts:
            self._texts[run.run_id] = self._folded(run.run_id, entity)
        text = self._texts[run.run_id]
        return (None, None) if text is None else (text, audience)

    def _folded(self, run_id: RunId, entity: Entity) -> str | None:
        # Nobody types more; a larger one is not searched.
        if entity.size_bytes > MAX_TEXT_BYTES:
            return None
        data = b""
        try:
            with closing(self._store.open_entity(run_id, entity)) as file:
                while part := file.read(MAX_TEXT_BYTES):
                    data += part
            if hashlib.sha256(data).hexdigest() != entity.sha256:
                raise ValueError("not the bytes that were recorded")
            return fold(data.decode())
        except (ArtlabError, ValueError) as error:
            log.warning("an input is not searched", extra=facts(run=str(run_id), why=str(error)))
            return None
