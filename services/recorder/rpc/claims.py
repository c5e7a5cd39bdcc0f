"""Claims: who drives which run."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.ids import RunId
from services.kit.interceptors import Context
from services.recorder.parse_claims import parse_claimant, parse_held, parse_release
from services.recorder.parse_values import parse_number
from services.recorder.recorder import Recorder
from services.recorder.translate import moment_message

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


class ClaimsRpcs:
    """Parse, call one function, translate; see recorder.proto."""

    _recorder: Recorder

    async def ClaimRun(self, request: pb.ClaimRunRequest, context: Context) -> pb.ClaimRunResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        answer = await self._recorder.claiming.claim(
            run_id, parse_claimant(request), force=request.force
        )
        if answer.epoch:
            return pb.ClaimRunResponse(claimed=True, epoch=answer.epoch)
        wait = Duration()
        wait.FromMicroseconds(round(answer.retry_after_seconds * 1e6))
        return pb.ClaimRunResponse(retry_after=wait)

    async def RenewClaims(
        self, request: pb.RenewClaimsRequest, context: Context
    ) -> pb.RenewClaimsResponse:
        """See recorder.proto."""
        by = parse_claimant(request)
        lost = await self._recorder.claiming.renew(by, parse_held(request.held))
        return pb.RenewClaimsResponse(
            lost=[pb.LostClaim(name=run_id.name, reason=why.value) for run_id, why in lost]
        )

    async def ReleaseClaim(
        self, request: pb.ReleaseClaimRequest, context: Context
    ) -> pb.ReleaseClaimResponse:
        """See recorder.proto."""
        await self._recorder.claiming.release(*parse_release(request))
        return pb.ReleaseClaimResponse()

    async def ListClaimableRuns(
        self, request: pb.ListClaimableRunsRequest, context: Context
    ) -> pb.ListClaimableRunsResponse:
        """See recorder.proto."""
        size = parse_number(request.page_size, "page_size", most=2**31 - 1) or DEFAULT_PAGE_SIZE
        runs, total, loads = self._recorder.claiming.claimable(min(size, MAX_PAGE_SIZE))
        return pb.ListClaimableRunsResponse(
            runs=[
                pb.ClaimableRun(
                    name=one.run_id.name,
                    user_id=one.user_id,
                    create_time=moment_message(one.created_at),
                    begun=one.is_begun,
                )
                for one in runs
            ],
            total=total,
            loads=[pb.PersonLoad(user_id=user, claimed=claimed) for user, claimed in loads],
        )
