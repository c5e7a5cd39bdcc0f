"""How many runs may be open: of everybody, and of one person. Beyond that a start is refused."""

from __future__ import annotations

from services.kit.errors import ArtlabError, ResourceExhausted, Unavailable
from services.orchestrator.queue.view import QueueView

RETRY_SECONDS = 5.0
# Others may have started as many runs meanwhile as they do in that time.
SEEN_SECONDS = 1.0


class Admission:
    """Refuses runs there is no room for. A run that waits for a person takes none.

    Args:
        view: what waits and is in work, of all orchestrators.
        max_open: runs in all.
        max_of_person: runs of one person.
    """

    def __init__(self, view: QueueView, *, max_open: int, max_of_person: int) -> None:
        self._view = view
        self._max_open = max_open
        self._max_of_person = max_of_person

    @property
    def has_line(self) -> bool:
        """Whether runs wait already, so that a new one has to get in line."""
        return self._view.has_line

    def queued(self) -> None:
        """Note that a run gets in line."""
        self._view.queued()

    async def admit(self, user_id: str, room: int) -> None:
        """Count a run of this person.

        Args:
            user_id: whose it is; empty for nobody in particular, who has no limit of their own.
            room: how many runs this process could drive at once now.

        Raises ResourceExhausted TOO_MANY_RUNS or TOO_MANY_RUNS_OF_PERSON, Unavailable when the
        recorder is away.
        """
        try:
            # While there is room the queue looks by itself, and what it saw is new enough.
            await self._view.look(SEEN_SECONDS if not room else 2 * SEEN_SECONDS)
        except Unavailable:
            # Nothing can be recorded now.
            raise
        except ArtlabError:
            # It refuses the run itself if it must.
            pass
        if self._view.open_runs() >= self._max_open:
            raise ResourceExhausted(
                "TOO_MANY_RUNS",
                f"{self._max_open} runs wait or are in work; try again soon",
                retry_after_seconds=RETRY_SECONDS,
            )
        if user_id and self._view.open_runs(user_id) >= self._max_of_person:
            raise ResourceExhausted(
                "TOO_MANY_RUNS_OF_PERSON",
                f"this person has {self._max_of_person} runs that wait or are in work",
                retry_after_seconds=RETRY_SECONDS,
            )
        self._view.added(user_id)

    def withdraw(self, user_id: str) -> None:
        """Count it no longer: it was not created."""
        self._view.withdrawn(user_id)
