"""Complete bytes become an entity. Blocking: called in a thread, under the run's lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.kit.clock import Clock
from services.kit.errors import AlreadyExists, InvalidArgument
from services.recorder.domain.content import Content
from services.recorder.domain.entity import Entity, EntityDraft
from services.recorder.domain.run import Position, Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.ports import Store
from services.recorder.ports_bytes import UploadBytes
from services.recorder.sniff import media_type_of


@dataclass(frozen=True, slots=True)
class Declared:
    """What a client says all bytes together are."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SmallEntity:
    """An entity whose bytes came with what is said of it."""

    upload_id: str
    draft: EntityDraft
    data: bytes


class Commits:
    """The one way into a run folder, for small entities and large ones."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def commit(
        self, record: UploadRecord, data: UploadBytes, said: Declared, run: Run
    ) -> tuple[Run, Entity]:
        """Return the run with the upload as its newest entity, durable.

        Raises InvalidArgument SIZE_MISMATCH, DIGEST_MISMATCH and what `media_type_of` and
        `Content.check_structure` do; FailedPrecondition RUN_FINAL; errors of the store.
        """
        content = data.content
        _check_said(said, Declared(content.sha256, content.size_bytes))
        after, entity = self._next(run, record.name.upload_id, record.draft, content)
        self._store.commit(replace(record, intent=entity), data, after)
        return after, entity

    def record(self, run: Run, small: Sequence[SmallEntity], then: Position | None = None) -> Run:
        """Return the run with these as its newest entities, durable; of a failure nothing is left.

        It stands at `then` afterwards, if that is given. Raises what `media_type_of` and
        `Content.check_structure` do, FailedPrecondition RUN_FINAL, InvalidArgument OUTPUT_UNKNOWN,
        errors of the store.
        """
        after = self._with(run, small)
        if then is not None:
            after = after.at(*then, self._clock.now())
        self._store.add_entities(after, [one.data for one in small])
        return after

    def create(self, run: Run, small: Sequence[SmallEntity]) -> Run:
        """Return a new run with these as its first entities, durable. Raises as `record`."""
        after = self._with(run, small)
        self._store.create_run(after, [one.data for one in small])
        return after

    def _with(self, run: Run, small: Sequence[SmallEntity]) -> Run:
        for one in small:
            content = Content(one.draft.type)
            content.add(one.data)
            run, _ = self._next(run, one.upload_id, one.draft, content)
        return run

    def _next(
        self, run: Run, upload_id: str, draft: EntityDraft, content: Content
    ) -> tuple[Run, Entity]:
        media_type = media_type_of(content)
        content.check_structure()
        entity = run.next_entity(
            draft,
            upload_id,
            media_type=media_type,
            size_bytes=content.size_bytes,
            sha256=content.sha256,
            now=self._clock.now(),
        )
        return run.with_entity(entity), entity


def check_same(entity: Entity, said: Declared, draft: EntityDraft | None) -> Entity:
    """Return the entity an upload became if the same is sent again.

    Raises AlreadyExists UPLOAD_COMPLETE otherwise.
    """
    same_bytes = (said.sha256, said.size_bytes) == (entity.sha256, entity.size_bytes)
    if not same_bytes or (draft is not None and not draft.is_same_thing(entity.draft)):
        raise AlreadyExists("UPLOAD_COMPLETE", "the upload is complete with other content")
    return entity


def _check_said(said: Declared, sent: Declared) -> None:
    if said.size_bytes != sent.size_bytes:
        raise InvalidArgument(
            "SIZE_MISMATCH", "not as many bytes as were sent", field="digest.size_bytes"
        )
    if said.sha256 != sent.sha256:
        raise InvalidArgument(
            "DIGEST_MISMATCH", "not the digest of what was sent", field="digest.sha256"
        )
