"""The media service as the orchestrator sees it, over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import grpc.aio

from artlab.common.v1 import common_pb2
from artlab.media.v1 import media_pb2, media_pb2_grpc
from artlab.recorder.v1 import run_pb2
from services.kit.deadline import budget
from services.kit.enums import word_of
from services.kit.errors import Internal
from services.kit.ids import RunId
from services.kit.status import remote_errors
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import (
    Kind,
    Mode,
    OutputCatalogue,
    OutputOffer,
    RenderProgress,
)

CALL_SECONDS = 10.0
# Longer than any output config may take by itself; media keeps the config's own deadline.
GENERATE_SECONDS = 3660.0


class MediaClient:
    """Implements ports.Media."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = media_pb2_grpc.MediaServiceStub(channel)

    async def catalogue(self) -> OutputCatalogue:
        """Every output config, with its availability."""
        request = media_pb2.ListOutputConfigsRequest()
        with remote_errors("media"):
            answer = await self._stub.ListOutputConfigs(request, timeout=budget(CALL_SECONDS))
        offers = {
            config.name: OutputOffer(config.name, _kind(config.kind), config.available)
            for config in answer.configs
        }
        defaults = {
            (
                _kind(default.kind),
                cast("Mode", word_of(common_pb2.ExecutionMode, default.execution_mode)),
            ): tuple(default.output_configs)
            for default in answer.defaults
        }
        return OutputCatalogue(offers, defaults)

    async def generate(
        self,
        run_id: RunId,
        output: PlannedOutput,
        prompt: str,
        recipe: str,
        report: Callable[[RenderProgress], None],
    ) -> None:
        """Make one output and have it recorded; joins the job if it is already running."""
        request = media_pb2.GenerateMediaRequest(
            upload=_upload(run_id, output),
            output_config=output.config,
            prompt=prompt,
            output_index=output.index,
            seed=output.seed,
            recipe=recipe,
        )
        made = False
        with remote_errors("media"):
            async for answer in self._stub.GenerateMedia(request, timeout=budget(GENERATE_SECONDS)):
                if answer.HasField("progress"):
                    report(_progress(answer.progress))
                elif answer.HasField("result"):
                    made = bool(answer.result.entities)
        if not made:
            raise Internal("MEDIA_PROTOCOL", "the media service ended without an entity")

    async def cancel(self, run_id: RunId, output: PlannedOutput) -> None:
        """Stop the job of one output, if there is one."""
        request = media_pb2.CancelMediaRequest(upload=_upload(run_id, output))
        with remote_errors("media"):
            await self._stub.CancelMedia(request, timeout=budget(CALL_SECONDS))


def _upload(run_id: RunId, output: PlannedOutput) -> str:
    return f"{run_id.name}/uploads/output-{output.index}"


def _kind(value: int) -> Kind:
    return cast("Kind", word_of(common_pb2.MediaKind, value))


def _progress(progress: run_pb2.RenderProgress) -> RenderProgress:
    return RenderProgress(
        phase=word_of(run_pb2.RenderPhase, progress.phase),
        fraction=progress.fraction,
        queue_position=progress.queue_position,
        attempt=progress.attempt,
        instance=progress.instance,
        node=progress.node,
        remaining=progress.remaining.ToTimedelta() if progress.HasField("remaining") else None,
    )
