"""What was recorded before and is needed again: pictures of people, outputs to be reused."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import grpc
import grpc.aio

from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.kit.errors import ArtlabError, DataLoss, InvalidArgument, NotFound
from services.kit.ids import EntityName
from services.kit.log import facts
from services.kit.status import from_rpc_error, remote_errors
from services.media.ports import InputImage, Product
from services.media.recorder_calls import CALL_SECONDS, patiently

log = logging.getLogger(__name__)

# A stream that neither moves nor fails for so long is given up; the job's deadline is shorter.
STREAM_SECONDS = 3600.0
INPUT_IMAGE = "input_image"
REUSED_FROM = "reused_from"


class Earlier:
    """Asks the recorder, over a channel for calls and a blocking one for bytes."""

    def __init__(self, channel: grpc.aio.Channel, stream_channel: grpc.Channel) -> None:
        self._recorder = recorder_pb2_grpc.RecorderServiceStub(channel)
        self._stream = recorder_pb2_grpc.RecorderServiceStub(stream_channel)

    async def images(self, wanted: Mapping[str, EntityName]) -> dict[str, InputImage]:
        """Return the pictures of the image slots, by slot; nothing of them is fetched yet.

        Raises InvalidArgument INPUT_IMAGE_UNFIT (the entity is none that a person brought, or it
        was erased) and what the recorder raises.
        """
        found: dict[str, InputImage] = {}
        for slot, name in wanted.items():
            entity = await self._entity(name)
            if entity is None or entity.type != INPUT_IMAGE or entity.HasField("erase_time"):
                raise InvalidArgument(
                    "INPUT_IMAGE_UNFIT", "no picture to work from", field=f"input_images.{slot}"
                )
            found[slot] = InputImage(
                read=partial(self._read, entity.name, entity.digest.size_bytes),
                media_type=entity.media_type,
                sha256=entity.digest.sha256,
                size_bytes=entity.digest.size_bytes,
            )
        return found

    async def render(self, user_id: str, render_digest: str, entity_type: str) -> Product | None:
        """Return what was made for this person in exactly this way before; None when nothing was.

        A recorder that cannot tell now is no reason to wait: then it is made.
        """
        request = recorder_pb2.FindRenderRequest(user_id=user_id, render_digest=render_digest)
        try:
            with remote_errors("recorder"):
                answer = await self._recorder.FindRender(request, timeout=CALL_SECONDS)
        except NotFound:
            return None
        except ArtlabError as error:
            log.warning("nothing is reused", extra=facts(reason=error.reason))
            return None
        entities = list(answer.entities)
        if not entities or any(entity.type != entity_type for entity in entities):
            return None
        return self._product(entities)

    def _product(self, entities: Sequence[run_pb2.Entity]) -> Product:
        first, *others = (self._file(entity) for entity in entities)
        return Product(
            read=first.read,
            backend=first.backend,
            model=first.model,
            size_bytes=first.size_bytes,
            metadata=first.metadata,
            others=tuple(others),
        )

    def _file(self, entity: run_pb2.Entity) -> Product:
        uses = [use for use in entity.models_used if use.task == "media"]
        return Product(
            read=partial(self._read, entity.name, entity.digest.size_bytes),
            backend=uses[0].backend if uses else "",
            model=uses[0].model if uses else "",
            size_bytes=entity.digest.size_bytes,
            metadata={REUSED_FROM: entity.name},
        )

    async def _entity(self, name: EntityName) -> run_pb2.Entity | None:
        request = recorder_pb2.GetRunRequest(name=name.run.name, audience=run_pb2.AUDIENCE_RESEARCH)

        async def ask() -> run_pb2.Run:
            with remote_errors("recorder"):
                return (await self._recorder.GetRun(request, timeout=CALL_SECONDS)).run

        entities = (await patiently(ask)).entities
        return next((entity for entity in entities if entity.name == str(name)), None)

    @contextmanager
    def _read(self, name: str, size_bytes: int) -> Iterator[Iterator[bytes]]:
        """Open the bytes of an entity; to be used in a thread.

        The chunks raise what the recorder raises, DataLoss ENTITY_CUT_SHORT when some are missing.
        """
        request = recorder_pb2.ReadEntityRequest(name=name, audience=run_pb2.AUDIENCE_RESEARCH)
        call = self._stream.ReadEntity(request, timeout=STREAM_SECONDS)

        def chunks() -> Iterator[bytes]:
            size = 0
            try:
                for message in call:
                    size += len(message.data)
                    yield message.data
            except grpc.RpcError as error:
                raise from_rpc_error(error, "recorder") from error
            if size != size_bytes:
                raise DataLoss("ENTITY_CUT_SHORT", f"{size} of {size_bytes} bytes")

        try:
            yield chunks()
        finally:
            call.cancel()
