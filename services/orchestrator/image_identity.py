"""Which picture was brought as which, by the digest of what was sent."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence

from services.kit.errors import AlreadyExists, FailedPrecondition
from services.orchestrator.domain.run import RecordedEntity


def source_of(entities: Sequence[RecordedEntity], index: int) -> str | None:
    """The digest of the picture a run was given as this index, from its record; None if none."""
    for entity in entities:
        of_picture = entity.type in ("input_image", "safety_image")
        if of_picture and entity.metadata.get("index") == str(index):
            return entity.metadata.get("source_sha256")
    return None


async def digest_of(chunks: AsyncIterator[bytes]) -> str:
    """The SHA-256 of what comes, in hex."""
    digest = hashlib.sha256()
    async for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def require_same(known: str, given: str) -> None:
    """Raise AlreadyExists INPUT_IMAGE_DIFFERS unless both digests are of the same bytes."""
    if known != given:
        raise differs()


def differs() -> AlreadyExists:
    """What is said of another picture than the one that was brought."""
    return AlreadyExists(
        "INPUT_IMAGE_DIFFERS", "the run has another picture of this index", field="index"
    )


def not_expected() -> FailedPrecondition:
    """What is said of a picture nobody waits for."""
    return FailedPrecondition(
        "INPUT_IMAGE_NOT_EXPECTED", "the run does not wait for this picture", field="index"
    )
