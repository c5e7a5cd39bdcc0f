"""A check that fails is an error at the border: INTERNAL, without a word, and never SAFE."""

from __future__ import annotations

import grpc.aio
import pytest

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.errors import Unavailable
from services.safety.checker import TextChecker
from services.safety.domain.levels import Level
from services.safety.servicer import SafetyServicer
from services.safety.workers import Workers
from tests.support.rpc import refused
from tests.support.servers import channel_to
from tests.unit.safety.images import image_checker
from tests.unit.safety.support import AnsweringJudge, safety


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (ValueError("about Hund"), "INTERNAL", "INTERNAL"),
        (Unavailable("JUDGE_UNAVAILABLE", "the judge is away"), "UNAVAILABLE", "JUDGE_UNAVAILABLE"),
    ],
)
async def test_a_failed_check_is_an_error_and_no_verdict(
    error: Exception, code: str, reason: str
) -> None:
    checker = TextChecker(safety(), [AnsweringJudge(error)], Level.YOUTH, Workers())
    async with image_checker() as images:
        servicer = SafetyServicer(checker, images)

        def register(server: grpc.aio.Server) -> None:
            safety_pb2_grpc.add_SafetyServiceServicer_to_server(servicer, server)

        async with channel_to("safety", register) as channel:
            stub: safety_pb2_grpc.SafetyServiceAsyncStub = safety_pb2_grpc.SafetyServiceStub(
                channel
            )
            async with refused(code, reason) as seen:
                await stub.CheckText(
                    safety_pb2.CheckTextRequest(
                        text="Ein Hund",
                        level=common_pb2.SAFETY_LEVEL_KIDS,
                        purpose=safety_pb2.PURPOSE_INPUT,
                    ),
                    timeout=5,
                )
    assert "Hund" not in seen.message
