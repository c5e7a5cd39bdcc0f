"""The safety service of the contract: parse, ask, translate."""

from __future__ import annotations

from collections.abc import AsyncIterator

from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.errors import ArtlabError
from services.kit.interceptors import Context
from services.kit.streams import read_rest
from services.safety.checker import TextChecker
from services.safety.images.checker import ImageChecker
from services.safety.translate import (
    parse_check_image,
    parse_check_text,
    to_verdict,
)
from services.safety.translate_policy import to_policy


class SafetyServicer(safety_pb2_grpc.SafetyServiceServicer):
    """Answers CheckText, CheckImage and GetPolicy."""

    def __init__(self, checker: TextChecker, images: ImageChecker) -> None:
        self._checker = checker
        self._images = images

    async def CheckText(
        self, request: safety_pb2.CheckTextRequest, context: Context
    ) -> safety_pb2.CheckTextResponse:
        """Judge a text."""
        verdict = await self._checker.check(parse_check_text(request))
        return safety_pb2.CheckTextResponse(verdict=to_verdict(verdict))

    async def CheckImage(
        self, request_iterator: AsyncIterator[safety_pb2.CheckImageRequest], context: Context
    ) -> safety_pb2.CheckImageResponse:
        """Judge a picture or film."""
        try:
            request, pieces = await parse_check_image(request_iterator)
            found = await self._images.check(request, pieces)
        except ArtlabError:
            await read_rest(request_iterator)
            raise
        return safety_pb2.CheckImageResponse(
            verdict=to_verdict(found.verdict), keep_blocked=found.keep_blocked
        )

    async def GetPolicy(
        self, request: safety_pb2.GetPolicyRequest, context: Context
    ) -> safety_pb2.GetPolicyResponse:
        """Say which policy is in force."""
        return to_policy(
            self._checker.safety,
            self._checker.level,
            [judge.version for judge in self._checker.judges],
            [judge.version for judge in self._images.judges],
        )
