"""The media service as the orchestrator sees it, over gRPC."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import cast

import grpc.aio
import orjson

from artlab.common.v1 import common_pb2
from artlab.media.v1 import media_pb2, media_pb2_grpc
from artlab.recorder.v1 import run_pb2
from services.kit.deadline import budget
from services.kit.enums import word_of
from services.kit.errors import Internal
from services.kit.ids import EntityName, RunId
from services.kit.status import remote_errors
from services.kit.streams import send_all
from services.orchestrator.clients.fencing import fenced_errors
from services.orchestrator.domain.parameter import ParameterKind, ParameterSpec
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import (
    Kind,
    Mode,
    OutputCatalogue,
    OutputOffer,
    PreparedImage,
    RenderPreview,
    RenderProgress,
    RenderUpdate,
    RenderWarning,
)
from services.orchestrator.domain.slots import Value
from services.orchestrator.ports import MediaJob

CALL_SECONDS = 10.0
# Longer than any output config may take by itself; media keeps the config's own deadline.
GENERATE_SECONDS = 3660.0
PREPARE_SECONDS = 120.0
# A picture of 2048 by 2048 pixels with four channels is 16 MiB before it is packed.
MAX_PREPARED_BYTES = 20 * 1024 * 1024


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
            config.name: OutputOffer(
                config.name,
                _kind(config.kind),
                config.available,
                image_slots=tuple(config.input_image_slots),
                text_slots=tuple(config.text_slots),
                parameters=tuple(config.parameters),
                parameter_specs={
                    spec.name: read_parameter_spec(spec) for spec in config.parameter_specs
                },
                prompt_style=config.prompt_style,
            )
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

    async def generate(self, job: MediaJob) -> AsyncGenerator[RenderUpdate, None]:
        """Make one output and have it recorded; joins the job if it is already running.

        Yields where it stands. Raises Internal MEDIA_PROTOCOL for an end without an entity, and
        ClaimLost when the job may not write under the driver's epoch.
        """
        made = False
        call = self._stub.GenerateMedia(_request(job), timeout=budget(GENERATE_SECONDS))
        try:
            with fenced_errors("media"):
                async for answer in call:
                    update = _update(answer)
                    if update is not None:
                        yield update
                    made = made or bool(answer.result.entities)
        finally:
            call.cancel()
        if not made:
            raise Internal("MEDIA_PROTOCOL", "the media service ended without an entity")

    async def prepare_image(self, chunks: AsyncIterator[bytes]) -> PreparedImage:
        """Make a person's picture fit to be recorded. Raises InvalidArgument MEDIA_*."""

        async def requests() -> AsyncIterator[media_pb2.PrepareImageRequest]:
            async for chunk in chunks:
                yield media_pb2.PrepareImageRequest(data=chunk)

        call = self._stub.PrepareImage(timeout=budget(PREPARE_SECONDS))
        head, data = media_pb2.PrepareImageResponse(), bytearray()
        try:
            with remote_errors("media"):
                await send_all(call, requests())
                async for answer in call:
                    head = answer if answer.media_type else head
                    data += answer.data
                    if len(data) > MAX_PREPARED_BYTES:
                        raise Internal("MEDIA_PROTOCOL", "the prepared picture is too large")
        finally:
            call.cancel()
        if not (head.media_type and data):
            raise Internal("MEDIA_PROTOCOL", "the media service prepared no picture")
        return PreparedImage(head.media_type, head.width, head.height, bytes(data))

    async def cancel(self, run_id: RunId, output: PlannedOutput) -> None:
        """Stop the job of one output, if there is one."""
        request = media_pb2.CancelMediaRequest(upload=_upload(run_id, output))
        with remote_errors("media"):
            await self._stub.CancelMedia(request, timeout=budget(CALL_SECONDS))


def read_parameter_spec(spec: media_pb2.ParameterSpec) -> ParameterSpec:
    """What a slot takes, as media tells it."""
    return ParameterSpec(
        name=spec.name,
        kind=cast("ParameterKind", word_of(media_pb2.ParameterKind, spec.kind)),
        minimum=spec.minimum if spec.HasField("minimum") else -math.inf,
        maximum=spec.maximum if spec.HasField("maximum") else math.inf,
        multiple_of=spec.multiple_of,
        remainder=spec.remainder,
        choices=tuple(spec.choices),
        at_most=spec.at_most,
        max_characters=spec.max_characters,
    )


def _request(job: MediaJob) -> media_pb2.GenerateMediaRequest:
    output = job.output
    return media_pb2.GenerateMediaRequest(
        upload=_upload(job.run_id, output),
        output_config=output.config,
        prompt=job.prompt,
        output_index=output.index,
        seed=output.seed,
        parameters=_scalars(output.parameters),
        recipe=job.recipe,
        user_id=job.user_id,
        input_images={
            slot: str(EntityName(job.run_id, sequence))
            for slot, sequence in job.input_images.items()
        },
        allow_reuse=job.allow_reuse,
        epoch=job.epoch,
        adopt_only=job.adopt_only,
        local_only=job.local_only,
    )


def _scalars(values: Mapping[str, Value]) -> dict[str, str]:
    return {name: orjson.dumps(value).decode() for name, value in values.items()}


def _update(answer: media_pb2.GenerateMediaResponse) -> RenderUpdate | None:
    match answer.WhichOneof("update"):
        case "progress":
            return _progress(answer.progress)
        case "preview":
            return RenderPreview(answer.preview.media_type, answer.preview.data)
        case "warning":
            return RenderWarning(answer.warning.reason, answer.warning.message)
        case _:
            return None


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
