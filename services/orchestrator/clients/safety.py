"""The safety service as the orchestrator sees it, over gRPC."""

from __future__ import annotations

from typing import cast

import grpc.aio

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.deadline import budget
from services.kit.enums import value_of, word_of
from services.kit.errors import Internal
from services.kit.status import remote_errors
from services.orchestrator.domain.run import Kind, Level, ModelUse, Purpose, Verdict

POLICY_SECONDS = 5.0
CHECK_SECONDS = 30.0


class SafetyClient:
    """Implements ports.Safety."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = safety_pb2_grpc.SafetyServiceStub(channel)

    async def server_level(self) -> Level:
        """The laxest level a request may ask for."""
        request = safety_pb2.GetPolicyRequest()
        with remote_errors("safety"):
            answer = await self._stub.GetPolicy(request, timeout=budget(POLICY_SECONDS))
        level = word_of(common_pb2.SafetyLevel, answer.level)
        if not level:
            raise Internal("SAFETY_PROTOCOL", "the safety service named no level")
        return cast("Level", level)

    async def check_text(
        self, text: str, level: Level, purpose: Purpose, language: str, kind: Kind | None = None
    ) -> Verdict:
        """Judge one text. Raises Internal SAFETY_PROTOCOL for an answer that is no verdict."""
        request = safety_pb2.CheckTextRequest(
            text=text,
            level=value_of(common_pb2.SafetyLevel, level),
            purpose=value_of(safety_pb2.Purpose, purpose),
            language="" if language == "und" else language,
            kind=value_of(common_pb2.MediaKind, kind or ""),
        )
        with remote_errors("safety"):
            answer = await self._stub.CheckText(request, timeout=budget(CHECK_SECONDS))
        verdict = answer.verdict
        decision = word_of(safety_pb2.Decision, verdict.decision)
        # Nothing defaults to safe: an answer without a decision is a fault.
        if decision not in ("safe", "blocked"):
            raise Internal("SAFETY_PROTOCOL", "the safety service gave no decision")
        return Verdict(
            safe=decision == "safe",
            purpose=purpose,
            rule=verdict.rule,
            codes=tuple(verdict.codes),
            checks=tuple(verdict.checks),
            terms=tuple(verdict.terms),
            explanation=verdict.explanation,
            suggestion=verdict.suggestion,
            language=verdict.language,
            used=ModelUse("safety", verdict.used.backend, verdict.used.model),
        )
