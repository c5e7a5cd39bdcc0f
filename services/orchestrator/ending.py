"""Ending a run from outside: nobody drives it any more, or whoever did is shut out by our claim."""

from __future__ import annotations

import asyncio
import logging

from services.kit.errors import ArtlabError, FailedPrecondition, NotFound, Unavailable
from services.kit.ids import RunId
from services.kit.log import facts
from services.orchestrator.claims import Claim, ClaimLost
from services.orchestrator.domain.outcome import End, outcome
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import FinalState, RecordedOutput, RecordedRun, RunError
from services.orchestrator.ports import Media, Recorder

log = logging.getLogger(__name__)

# Media goes on stopping after that; the end of a run is not to wait for it.
MEDIA_STOP_SECONDS = 1.0
# Somebody else who ends the run as well has that long before it is taken from them.
OTHERS_END_SECONDS = 2 * MEDIA_STOP_SECONDS
LOOK_SECONDS = 0.1
TRIES = 3


class Endings:
    """Ends runs this process does not drive.

    Args:
        recorder: as nobody in particular sees it.
        media: whose jobs are stopped.
        claim: of this process. Ends are claimed under a name of their own, so that a driver in this
            very process is shut out as well.
    """

    def __init__(self, recorder: Recorder, media: Media, claim: Claim) -> None:
        self._recorder = recorder
        self._media = media
        self._claim = Claim(f"{claim.owner}-end", claim.ttl_seconds)

    async def take_and_end(self, run_id: RunId, state: FinalState, error: RunError | None) -> None:
        """Take a run from whoever has it, and end it. One that is final already stays as it is.

        Raises NotFound, Unavailable; RUN_TAKEN when others take it again and again.
        """
        for _ in range(TRIES):
            try:
                await self._take_and_end(run_id, state, error)
                return
            except ClaimLost:
                # Several may be asked to end it at once; who took it last does so.
                log.info("run was taken while it was ended")
            if await self._is_ended_by_others(run_id):
                return
        raise run_taken()

    async def _take_and_end(self, run_id: RunId, state: FinalState, error: RunError | None) -> None:
        try:
            answer = await self._recorder.claim(run_id, self._claim, force=True)
        except FailedPrecondition:
            return  # it ended meanwhile
        run = await self._recorder.get_run(run_id)
        await self.end(run, answer.epoch, state, error)

    async def _is_ended_by_others(self, run_id: RunId) -> bool:
        for _ in range(round(OTHERS_END_SECONDS / LOOK_SECONDS)):
            if (await self._recorder.get_run(run_id)).is_final:
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False

    async def end(
        self, run: RecordedRun, epoch: int, state: FinalState, error: RunError | None
    ) -> None:
        """End a run under our claim. Raises ClaimLost, ArtlabError."""
        if run.is_final:
            return
        recorder = self._recorder.under(epoch)
        left = [output for output in run.outputs if not output.is_final]
        # Jobs first: what they record afterwards is refused, but machines are free sooner.
        await asyncio.gather(*(self._stop(run.run_id, output) for output in left))
        ends = {one.index: End(_final(one), one.error) for one in run.outputs if one.is_final}
        cut: list[FinalState] = []
        for output in left:
            recorded = await recorder.finalize_output(run.run_id, _planned(output), state, error)
            ends[output.index] = End(recorded, error)
            cut.append(recorded)
        meant = End(state, error)
        if ends:
            meant = outcome([ends[index] for index in sorted(ends)], meant, cut if left else None)
            if not left:
                # All that was asked for has its end; only the run's own was missing.
                meant = outcome([ends[index] for index in sorted(ends)])
        await recorder.finalize_run(run.run_id, meant.state, meant.error)

    async def _stop(self, run_id: RunId, output: RecordedOutput) -> None:
        try:
            async with asyncio.timeout(MEDIA_STOP_SECONDS):
                await self._media.cancel(run_id, _planned(output))
        except NotFound:
            return
        except (ArtlabError, TimeoutError) as problem:
            reason = problem.reason if isinstance(problem, ArtlabError) else "NO_ANSWER"
            log.warning("could not stop the media job", extra=facts(reason=reason))


def run_taken() -> Unavailable:
    """What is said when a run has changed hands under a call."""
    return Unavailable("RUN_TAKEN", "somebody else has taken the run", retry_after_seconds=1.0)


def _planned(output: RecordedOutput) -> PlannedOutput:
    # A job and an end are told by the index; the seed is not looked at.
    return PlannedOutput(output.index, output.occurrence, output.config, output.kind, seed=0)


def _final(output: RecordedOutput) -> FinalState:
    state: FinalState = output.state  # type: ignore[assignment]  # it is final
    return state
