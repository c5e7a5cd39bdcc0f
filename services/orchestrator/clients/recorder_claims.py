"""Who drives which run: the recorder's claims, over gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, timedelta

import grpc.aio

from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc
from services.kit.deadline import budget
from services.kit.ids import RunId
from services.kit.status import remote_errors
from services.orchestrator.claims import Claim, Claimable, ClaimableRuns, ClaimAnswer

# A claim that is asked for or renewed later than this is worth nothing any more.
CLAIM_SECONDS = 5.0


class RecorderClaims:
    """Implements ports.Claims."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._claims = recorder_pb2_grpc.RecorderServiceStub(channel)

    async def claim(self, run_id: RunId, claim: Claim, *, force: bool = False) -> ClaimAnswer:
        """Ask for a run. Raises FailedPrecondition RUN_FINAL, NotFound."""
        request = recorder_pb2.ClaimRunRequest(
            name=run_id.name, claim=claim_message(claim), force=force
        )
        with remote_errors("recorder"):
            answer = await self._claims.ClaimRun(request, timeout=budget(CLAIM_SECONDS))
        later = answer.retry_after.ToTimedelta().total_seconds()
        return ClaimAnswer(answer.epoch if answer.claimed else 0, later)

    async def renew(self, claim: Claim, held: Mapping[RunId, int]) -> Mapping[RunId, str]:
        """Hold runs for another ttl; return those that are lost, and why."""
        request = recorder_pb2.RenewClaimsRequest(
            claim=claim_message(claim),
            held=[
                recorder_pb2.HeldClaim(name=run_id.name, epoch=epoch)
                for run_id, epoch in held.items()
            ],
        )
        with remote_errors("recorder"):
            answer = await self._claims.RenewClaims(
                request, timeout=budget(min(CLAIM_SECONDS, claim.ttl_seconds / 2))
            )
        return {RunId.parse_name(lost.name): lost.reason for lost in answer.lost}

    async def release(
        self, run_id: RunId, owner: str, epoch: int, delay_seconds: float = 0.0
    ) -> None:
        """Give a run back, to be claimed after the delay."""
        request = recorder_pb2.ReleaseClaimRequest(name=run_id.name, owner=owner, epoch=epoch)
        request.delay.FromTimedelta(timedelta(seconds=delay_seconds))
        with remote_errors("recorder"):
            await self._claims.ReleaseClaim(request, timeout=budget(CLAIM_SECONDS))

    async def claimable(self, limit: int) -> ClaimableRuns:
        """Return at most `limit` (1 to 1000) of the runs nobody has, oldest first."""
        request = recorder_pb2.ListClaimableRunsRequest(page_size=limit)
        with remote_errors("recorder"):
            answer = await self._claims.ListClaimableRuns(request, timeout=budget(CLAIM_SECONDS))
        runs = tuple(
            Claimable(
                RunId.parse_name(run.name),
                run.user_id,
                run.create_time.ToDatetime(tzinfo=UTC),
                run.begun,
            )
            for run in answer.runs
        )
        return ClaimableRuns(
            runs, answer.total, {load.user_id: load.claimed for load in answer.loads}
        )


def claim_message(claim: Claim) -> recorder_pb2.Claim:
    """Return who wants to drive a run."""
    message = recorder_pb2.Claim(owner=claim.owner)
    message.ttl.FromTimedelta(timedelta(seconds=claim.ttl_seconds))
    return message
