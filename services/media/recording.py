"""From a product to a durable entity: bytes in chunks to the recorder, resumed when cut.

The stream runs in a worker thread with the blocking stub, which moves bytes twice as fast as
the asyncio one; gRPC takes the next chunk only when the one before is sent, so one is in flight.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import grpc.aio

from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.kit.errors import (
    Aborted,
    ArtlabError,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    NotFound,
    Unavailable,
)
from services.kit.ids import UploadName
from services.kit.log import facts
from services.kit.status import remote_errors
from services.media.claim import Claim, is_fenced
from services.media.domain.request import EntityDraft, Recorded
from services.media.earlier import Earlier
from services.media.entity_message import entity_message, recorded_of
from services.media.inspection import Inspector
from services.media.ports import Product
from services.media.recorder_calls import (
    CALL_SECONDS,
    MAX_FUTILE_ATTEMPTS,
    patiently,
    pause_seconds,
)
from services.media.upload_stream import Answer, UploadStream

log = logging.getLogger(__name__)

Count = Callable[[int], None]
# Somebody else writes this upload, or took it over.
_TAKEN = ("UPLOAD_BUSY", "UPLOAD_DISCARDED")


@dataclass(slots=True)
class _Course:
    """How far one recording is."""

    upload: UploadName
    claim: Claim
    product: Product
    entity: run_pb2.Entity
    counted: Count
    # Whether anybody still waits for it.
    wanted: Callable[[], bool]
    # Whether what is unfinished there is ours.
    owned: bool = False
    # Durable at the recorder, as it last said.
    committed: int = 0
    # SHA-256 of what was sent up to each offset, to know whether a product read anew is the same.
    prefixes: dict[int, bytes] = field(default_factory=dict)
    futile: int = 0
    # Of the claim, as last sent with bytes.
    epoch: int = 0


class Recording:
    """Writes outputs through the recorder.

    Args:
        channel: for short calls.
        stream_channel: a blocking one, for bytes.
        max_media_bytes: more than this is refused with ResourceExhausted MEDIA_TOO_LARGE.
        max_streams: how many outputs are written at once; others wait.
        inspector: looks at everything before it counts.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        stream_channel: grpc.Channel,
        *,
        max_media_bytes: int,
        max_streams: int,
        inspector: Inspector,
    ) -> None:
        self._recorder = recorder_pb2_grpc.RecorderServiceStub(channel)
        self._stream = recorder_pb2_grpc.RecorderServiceStub(stream_channel)
        # What was recorded before, by the same channels.
        self.earlier = Earlier(channel, stream_channel)
        self._max_media_bytes = max_media_bytes
        self._inspector = inspector
        self._threads = ThreadPoolExecutor(max_streams, thread_name_prefix="recording")

    def close(self) -> None:
        """Let the threads end; streams under way were cancelled by their tasks."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def find(self, upload: UploadName, claim: Claim) -> Recorded | None:
        """Return what is recorded under this name; an unfinished rest of it is discarded.

        A rest is of a process that is gone, or of a copy of this service that nobody asks any
        more: only who asks here can say what it is to become. Raises NotFound RUN_NOT_FOUND,
        FailedPrecondition FENCED (another driver has the run) and what the recorder raises.
        """
        state = await patiently(lambda: claim.under(lambda epoch: self._get(upload, epoch)))
        if state is None:
            return None
        if state.HasField("entity"):
            return recorded_of(state.entity)
        log.info("discarding a rest", extra=facts(size_bytes=state.committed_size))
        await patiently(lambda: claim.under(lambda epoch: self._delete(upload, epoch)))
        return None

    async def confirm(self, upload: UploadName, claim: Claim) -> None:
        """Raise FailedPrecondition FENCED when another driver is known to have the run.

        A recorder that cannot tell now says nothing against it.
        """
        try:
            await claim.under(lambda epoch: self._get(upload, epoch))
        except ArtlabError as error:
            if is_fenced(error):
                raise
            log.info("claim not confirmed", extra=facts(reason=error.reason))

    async def write(
        self,
        upload: UploadName,
        claim: Claim,
        product: Product,
        draft: EntityDraft,
        counted: Count,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Recorded:
        """Make the product an entity; `counted` hears of every byte count sent, in the loop.

        When another copy of this service writes the same upload, the one gives way for which
        nobody waits any more, as `wanted` tells.

        The recorder may restart meanwhile. When cancelled nothing is left behind, or, if the last
        byte was already taken, the entity is returned nonetheless. When another driver has the
        run, it waits with the product for that one to ask. Raises what the product, the inspection
        and the recorder raise; Unavailable RECORDER_UNAVAILABLE when the recorder stays away.
        """
        course = _Course(upload, claim, product, entity_message(draft), counted, wanted)
        try:
            while True:
                try:
                    return await self._attempt(course)
                except ArtlabError as error:
                    recorded = await self._recover(course, error)
                    if recorded is not None:
                        return recorded
        except (Exception, asyncio.CancelledError):
            recorded = await asyncio.shield(self._clean_up(course)) if course.owned else None
            if recorded is not None:
                return recorded
            raise

    async def _attempt(self, course: _Course) -> Recorded:
        loop = asyncio.get_running_loop()
        course.owned, course.epoch = True, course.claim.epoch
        stream = UploadStream(
            upload=str(course.upload),
            epoch=course.epoch,
            product=course.product,
            entity=course.entity,
            committed=course.committed,
            prefixes=course.prefixes,
            max_bytes=self._max_media_bytes,
            counted=lambda size: loop.call_soon_threadsafe(course.counted, size),
            inspection=self._inspector.begin(course.entity.type.removeprefix("output_")),
        )
        work = loop.run_in_executor(self._threads, stream.run, self._stream)
        work.add_done_callback(_retrieve)
        try:
            answer = await asyncio.shield(work)
        except asyncio.CancelledError:
            stream.stop()
            # The thread ends at once: cancelling a gRPC call does not wait for the peer.
            await asyncio.wait({work})
            if not work.cancelled() and work.exception() is None:
                answer = work.result()
                if answer.HasField("entity"):
                    return recorded_of(answer.entity)
            raise
        if not answer.HasField("entity"):
            raise Internal("RECORDER_PROTOCOL", "the recorder ended a finished upload without it")
        return recorded_of(answer.entity)

    async def _recover(self, course: _Course, error: ArtlabError) -> Recorded | None:
        """Prepare the next attempt after an error; return the entity if it exists after all."""
        if is_fenced(error):
            # What is unfinished there is that driver's now; what was made is kept for it here.
            course.owned = False
            course.claim.lose(course.epoch)
            await course.claim.regained()
        elif error.reason in _TAKEN:
            course.owned = False
        if (not is_fenced(error) and not _may_pass(error)) or not (course.owned or course.wanted()):
            raise error
        state = None
        while True:
            course.futile += 1
            if course.futile > MAX_FUTILE_ATTEMPTS:
                raise error
            await asyncio.sleep(pause_seconds(course.futile))
            try:
                state = await self._state(course)
                break
            except (Unavailable, DeadlineExceeded):
                continue
            except FailedPrecondition as refusal:
                if not is_fenced(refusal):
                    raise
                await course.claim.regained()
        log.info(
            "recording resumes",
            extra=facts(reason=error.reason, committed=state.committed_size if state else 0),
        )
        if state is not None and state.HasField("entity"):
            return recorded_of(state.entity)
        committed = state.committed_size if state is not None else 0
        if committed and (isinstance(error, DataLoss) or committed not in course.prefixes):
            await course.claim.under(lambda epoch: self._delete(course.upload, epoch))
            committed = 0
        if committed > course.committed:
            course.futile = 0
        course.committed = committed
        return None

    async def _clean_up(self, course: _Course) -> Recorded | None:
        """Discard what is unfinished; return the entity if the recorder finished it meanwhile."""
        try:
            await self._delete(course.upload, course.claim.epoch)
        except FailedPrecondition as error:
            if is_fenced(error):
                # It is no affair of ours any more.
                return None
            state = await self._get(course.upload, 0)
            if state is not None and state.HasField("entity"):
                return recorded_of(state.entity)
        except ArtlabError as error:
            # It expires at the recorder, or the next job of this name discards it.
            log.warning("a rest stays for now", extra=facts(reason=error.reason))
        return None

    async def _state(self, course: _Course) -> recorder_pb2.GetUploadResponse | None:
        return await course.claim.under(lambda epoch: self._get(course.upload, epoch))

    async def _get(self, upload: UploadName, epoch: int) -> recorder_pb2.GetUploadResponse | None:
        request = recorder_pb2.GetUploadRequest(upload=str(upload), epoch=epoch)
        try:
            with remote_errors("recorder"):
                return await self._recorder.GetUpload(request, timeout=CALL_SECONDS)
        except NotFound as error:
            if error.reason == "RUN_NOT_FOUND":
                raise
            return None

    async def _delete(self, upload: UploadName, epoch: int) -> None:
        request = recorder_pb2.DeleteUploadRequest(upload=str(upload), epoch=epoch)
        with remote_errors("recorder"):
            await self._recorder.DeleteUpload(request, timeout=CALL_SECONDS)


def _retrieve(work: asyncio.Future[Answer]) -> None:
    # Who is cancelled twice does not see how the thread ends.
    if not work.cancelled():
        work.exception()


def _may_pass(error: ArtlabError) -> bool:
    """Whether another attempt can end differently."""
    if isinstance(error, Unavailable | Aborted):
        return True
    # Without details it was the connection, not the recorder, that answered.
    return error.reason in (
        "OFFSET_MISMATCH",
        "PRODUCT_CHANGED",
        "DIGEST_MISMATCH",
        "UPLOAD_IDLE",
        "RECORDER_CANCELLED",
        "RECORDER_INTERNAL",
        "RECORDER_UNKNOWN",
    )
