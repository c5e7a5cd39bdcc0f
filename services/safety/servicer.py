"""The safety service of the contract: parse, ask, translate."""

from __future__ import annotations

from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.interceptors import Context
from services.safety.checker import TextChecker
from services.safety.translate import parse_check_text, to_level, to_verdict


class SafetyServicer(safety_pb2_grpc.SafetyServiceServicer):
    """Answers CheckText and GetPolicy."""

    def __init__(self, checker: TextChecker) -> None:
        self._checker = checker

    async def CheckText(
        self, request: safety_pb2.CheckTextRequest, context: Context
    ) -> safety_pb2.CheckTextResponse:
        """Judge a text."""
        verdict = await self._checker.check(parse_check_text(request))
        return safety_pb2.CheckTextResponse(verdict=to_verdict(verdict))

    async def GetPolicy(
        self, request: safety_pb2.GetPolicyRequest, context: Context
    ) -> safety_pb2.GetPolicyResponse:
        """Say which policy is in force."""
        return safety_pb2.GetPolicyResponse(
            level=to_level(self._checker.level),
            judges=[self._checker.judge.name],
            version=self._checker.safety.version,
        )
