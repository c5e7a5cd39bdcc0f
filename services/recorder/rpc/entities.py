"""Entities: written, resumed, read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.ids import EntityName, RunId, UploadName
from services.kit.interceptors import Context
from services.recorder.parse import (
    parse_chunk,
    parse_new_entities,
    parse_position,
    parse_small_entity,
)
from services.recorder.parse_claims import parse_epoch
from services.recorder.parse_values import MAX_INT64, parse_number, parse_reason
from services.recorder.recorder import Recorder
from services.recorder.translate import (
    entity_message,
)
from services.recorder.words import AUDIENCES
from services.recorder.writing import Chunk


class EntitiesRpcs:
    """Parse, call one function, translate; see recorder.proto."""

    _recorder: Recorder

    async def RecordEntity(
        self, request: pb.RecordEntityRequest, context: Context
    ) -> pb.RecordEntityResponse:
        """See recorder.proto."""
        name = UploadName.parse(request.upload)
        small = parse_small_entity(request, name.upload_id)
        epoch = parse_epoch(request.epoch)
        then = parse_position(request.progress) if request.HasField("progress") else None
        (entity,) = await self._recorder.record_entities(name.run, [small], epoch, then)
        return pb.RecordEntityResponse(entity=entity_message(name.run, entity))

    async def RecordEntities(
        self, request: pb.RecordEntitiesRequest, context: Context
    ) -> pb.RecordEntitiesResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        small = parse_new_entities(request.entities, least=1)
        then = parse_position(request.progress) if request.HasField("progress") else None
        epoch = parse_epoch(request.epoch)
        entities = await self._recorder.record_entities(run_id, small, epoch, then)
        return pb.RecordEntitiesResponse(
            entities=[entity_message(run_id, entity) for entity in entities]
        )

    async def WriteEntity(
        self, requests: AsyncIterator[pb.WriteEntityRequest], context: Context
    ) -> pb.WriteEntityResponse:
        """See recorder.proto."""
        names: list[UploadName] = []

        async def chunks() -> AsyncIterator[Chunk]:
            async for request in requests:
                chunk = parse_chunk(request)
                names.extend([] if chunk.name is None or names else [chunk.name])
                yield chunk

        written = await self._recorder.write_entity(chunks())
        entity = written.entity
        return pb.WriteEntityResponse(
            committed_size=written.committed_size,
            entity=None if entity is None else entity_message(names[0].run, entity),
        )

    async def GetUpload(
        self, request: pb.GetUploadRequest, context: Context
    ) -> pb.GetUploadResponse:
        """See recorder.proto."""
        name = UploadName.parse(request.upload)
        size, entity = await self._recorder.get_upload(name, parse_epoch(request.epoch))
        return pb.GetUploadResponse(
            committed_size=size,
            entity=None if entity is None else entity_message(name.run, entity),
        )

    async def DeleteUpload(
        self, request: pb.DeleteUploadRequest, context: Context
    ) -> pb.DeleteUploadResponse:
        """See recorder.proto."""
        name = UploadName.parse(request.upload)
        await self._recorder.delete_upload(name, parse_epoch(request.epoch))
        return pb.DeleteUploadResponse()

    async def EraseEntity(
        self, request: pb.EraseEntityRequest, context: Context
    ) -> pb.EraseEntityResponse:
        """See recorder.proto."""
        name = EntityName.parse(request.name)
        reason = parse_reason(request.reason, "reason")
        entity = await self._recorder.erase_entity(name, reason, parse_epoch(request.epoch))
        return pb.EraseEntityResponse(entity=entity_message(name.run, entity))

    async def ReadEntity(
        self, request: pb.ReadEntityRequest, context: Context
    ) -> AsyncIterator[pb.ReadEntityResponse]:
        """See recorder.proto."""
        name = EntityName.parse(request.name)
        offset = parse_number(request.offset, "offset", most=MAX_INT64)
        limit = parse_number(request.limit, "limit", most=MAX_INT64)
        audience = AUDIENCES.word(request.audience, "audience")
        async with aclosing(self._recorder.read_entity(name, offset, limit, audience)) as chunks:
            async for chunk in chunks:
                yield pb.ReadEntityResponse(data=chunk)
