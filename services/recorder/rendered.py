"""Finding an output that was made in exactly the same way before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from services.kit.errors import DataLoss, NotFound
from services.kit.ids import RunId
from services.recorder.domain.entity import Entity
from services.recorder.domain.renders import find_render
from services.recorder.domain.run import Run
from services.recorder.library import Library
from services.recorder.ports import Store
from services.recorder.threads import Threads

# The first one is good unless somebody took folders away by hand.
MAX_LOOKS = 20


class Rendered:
    """Asks the index where to look, and the record whether it is so.

    Args:
        store: where the bytes are.
        library: knows which runs may have it.
        threads: where the disk is waited for.
        read: returns a run, as `RunTable.read` does.
    """

    def __init__(
        self,
        store: Store,
        library: Library,
        threads: Threads,
        read: Callable[[RunId], Awaitable[Run]],
    ) -> None:
        self._store = store
        self._library = library
        self._threads = threads
        self._read = read

    async def find(self, user_id: str, digest: str) -> tuple[RunId, Sequence[Entity]]:
        """Return the newest such output of this person's runs: its run, and its files.

        Raises NotFound RENDER_NOT_FOUND, Unavailable INDEX_REBUILDING.
        """
        for run_id in await self._library.renders(user_id, digest, MAX_LOOKS):
            try:
                run = await self._read(run_id)
                files = find_render(run, digest)
                # Of another house the same pseudonym may be another person.
                is_own = run.user_id == user_id and not self._store.is_imported(run_id)
                if files and is_own:
                    await self._threads.run(self._check_there, run_id, files)
                    return run_id, files
            except (NotFound, DataLoss):
                continue  # taken away or damaged since it was recorded
        raise NotFound("RENDER_NOT_FOUND", "no such output was made for this person")

    def _check_there(self, run_id: RunId, files: Sequence[Entity]) -> None:
        for one in files:
            self._store.open_entity(run_id, one).close()
