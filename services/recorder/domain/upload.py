"""Uploads: bytes on their way to become an entity. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.kit.ids import UploadName
from services.recorder.domain.entity import Entity, EntityDraft


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """What is kept beside the bytes of an upload.

    Once `intent` is set the upload is complete and on its way into the run folder; a start-up
    recovery finishes what a crash interrupted.
    """

    name: UploadName
    draft: EntityDraft
    begun_at: datetime
    intent: Entity | None = None
