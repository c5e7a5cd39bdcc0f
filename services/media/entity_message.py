"""Between the recorder's entity and our own types."""

from __future__ import annotations

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import run_pb2
from services.media.domain.request import (
    FILES,
    MAX_FILES,
    REQUEST_DIGEST,
    EntityDraft,
    Recorded,
)

STAGE_MEDIA_GENERATION = 4


def recorded_of(entity: run_pb2.Entity) -> Recorded:
    """A file of an output that is durable."""
    return Recorded(
        name=entity.name,
        request_digest=entity.metadata.get(REQUEST_DIGEST, ""),
        wire=entity.SerializeToString(),
        files=_number_of_files(entity.metadata.get(FILES, "1")),
    )


def _number_of_files(text: str) -> int:
    # Ours, but read back from a disk.
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 1
    return min(max(number, 1), MAX_FILES)


def entity_message(draft: EntityDraft) -> run_pb2.Entity:
    """What the recorder is told about a file."""
    entity = run_pb2.Entity(
        type=draft.type,
        output_index=draft.output_index,
        metadata=draft.metadata,
        stage=STAGE_MEDIA_GENERATION,
        attempt=draft.attempt,
        audience=run_pb2.AUDIENCE_STUDENT,
        models_used=[common_pb2.ModelUse(task="media", backend=draft.backend, model=draft.model)],
    )
    entity.start_time.FromDatetime(draft.started_at)
    entity.duration.FromTimedelta(draft.duration)
    return entity
