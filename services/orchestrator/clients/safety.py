"""The safety service as the orchestrator sees it, over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import grpc.aio

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.deadline import budget
from services.kit.enums import value_of, word_of
from services.kit.errors import Internal
from services.kit.status import remote_errors
from services.kit.streams import send_all
from services.orchestrator.domain.run import (
    ImageVerdict,
    Kind,
    Level,
    ModelUse,
    Policy,
    Purpose,
    Verdict,
)
from services.orchestrator.ports import Reading

POLICY_SECONDS = 5.0
CHECK_SECONDS = 30.0
# A film is brought over, and several of its frames are judged one after the other.
IMAGE_SECONDS = 180.0


class SafetyClient:
    """Implements ports.Safety."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = safety_pb2_grpc.SafetyServiceStub(channel)

    async def policy(self) -> Policy:
        """What is asked of runs. Raises Internal SAFETY_PROTOCOL when no level is named."""
        request = safety_pb2.GetPolicyRequest()
        with remote_errors("safety"):
            answer = await self._stub.GetPolicy(request, timeout=budget(POLICY_SECONDS))
        level = word_of(common_pb2.SafetyLevel, answer.level)
        if not level:
            raise Internal("SAFETY_PROTOCOL", "the safety service named no level")
        checked = {word_of(common_pb2.SafetyLevel, one) for one in answer.image_check_levels}
        return Policy(cast("Level", level), frozenset(cast("set[Level]", checked)))

    async def check_text(
        self,
        text: str,
        level: Level,
        purpose: Purpose,
        language: str,
        kind: Kind | None = None,
        *,
        local_only: bool,
    ) -> Verdict:
        """Judge one text. Raises Internal SAFETY_PROTOCOL for an answer that is no verdict."""
        request = safety_pb2.CheckTextRequest(
            text=text,
            level=value_of(common_pb2.SafetyLevel, level),
            purpose=value_of(safety_pb2.Purpose, purpose),
            language="" if language == "und" else language,
            kind=value_of(common_pb2.MediaKind, kind or ""),
            local_only=local_only,
        )
        with remote_errors("safety"):
            answer = await self._stub.CheckText(request, timeout=budget(CHECK_SECONDS))
        return _verdict(answer.verdict, purpose)

    async def check_image(
        self,
        level: Level,
        purpose: Purpose,
        language: str,
        media_type: str,
        read: Reading,
        *,
        local_only: bool,
    ) -> ImageVerdict:
        """Judge one picture or film. Raises Internal SAFETY_PROTOCOL as `check_text` does."""
        head = safety_pb2.CheckImageRequest(
            level=value_of(common_pb2.SafetyLevel, level),
            purpose=value_of(safety_pb2.Purpose, purpose),
            language="" if language == "und" else language,
            media_type=media_type,
            local_only=local_only,
        )

        async def requests() -> AsyncIterator[safety_pb2.CheckImageRequest]:
            yield head
            async for chunk in read():
                yield safety_pb2.CheckImageRequest(data=chunk)

        with remote_errors("safety"):
            call = self._stub.CheckImage(timeout=budget(IMAGE_SECONDS))
            await send_all(call, requests())
            answer = await call
        return ImageVerdict(_verdict(answer.verdict, purpose), answer.keep_blocked)


def _verdict(verdict: safety_pb2.Verdict, purpose: Purpose) -> Verdict:
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
        alternative=verdict.alternative,
    )
