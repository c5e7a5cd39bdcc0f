"""One attempt at one upload, in a thread: read the product, hash it, send what is missing.

What is small goes in one call once it was looked at: a stream costs the recorder an upload that it
keeps for a resumption, several syncs for nothing when there is nothing to resume.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from queue import SimpleQueue
from typing import Any

import grpc

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.kit.errors import ArtlabError, Cancelled, DataLoss, Internal, ResourceExhausted
from services.kit.status import from_rpc_error
from services.media.inspection import Inspection
from services.media.ports import Product

# A stream that neither moves nor fails for so long is given up; the job's deadline is shorter.
STREAM_SECONDS = 3600.0

# Well before the recorder cuts a silent stream.
KEEPALIVE_SECONDS = 10.0

# At most that much of a product is held in memory.
SMALL_BYTES = 256 * 1024

Counted = Callable[[int], object]
Answer = recorder_pb2.WriteEntityResponse | recorder_pb2.RecordEntityResponse


@dataclass(frozen=True, slots=True)
class _Begun:
    """All chunks, those read first included; what to send when they are few; what to close."""

    chunks: Iterator[bytes]
    request: recorder_pb2.RecordEntityRequest | None
    reading: ExitStack


class UploadStream:
    """Sends a product from `committed` on; everything before is read again and hashed.

    Args:
        epoch: of the claim it is written under; 0 is nobody's.
        prefixes: SHA-256 of the bytes up to each offset sent so far; read and added to.
        inspection: sees every byte; what it finds is told with the last message, and what it
            refuses is not recorded.
        counted: told the number of bytes sent, in this thread.
    """

    def __init__(
        self,
        *,
        upload: str,
        epoch: int,
        product: Product,
        entity: run_pb2.Entity,
        committed: int,
        prefixes: dict[int, bytes],
        max_bytes: int,
        counted: Counted,
        inspection: Inspection,
    ) -> None:
        self._upload, self._epoch = upload, epoch
        self._product, self._entity = product, entity
        self._committed, self._prefixes = committed, prefixes
        self._max_bytes, self._counted = max_bytes, counted
        self._inspection = inspection
        self._failure: Exception | None = None
        self._stopped = threading.Event()
        self._call: Any = None
        # Taken once: by the thread that reads the product to its end, and closes it.
        self._reader = threading.Lock()
        # What was read first, why it was not, or None from who stops; and, taken once, whether
        # anybody is there to have it.
        self._arrived: SimpleQueue[_Begun | Exception | None] = SimpleQueue()
        self._taken = threading.Lock()

    def stop(self) -> None:
        """End the stream soon; for other threads."""
        self._stopped.set()
        self._inspection.stop()
        self._arrived.put(None)
        if self._call is not None:
            self._call.cancel()

    def run(self, recorder: recorder_pb2_grpc.RecorderServiceStub) -> Answer:
        """Send everything and return the answer.

        Raises what the product, the inspection and the recorder raise, DataLoss PRODUCT_CHANGED
        when what is durable already is not what the product says now, and Cancelled
        MEDIA_CANCELLED.
        """
        try:
            answer = self._sent(recorder)
        except (grpc.FutureCancelledError, grpc.RpcError) as error:
            if self._failure is not None:
                raise self._failed() from error
            if self._stopped.is_set() or isinstance(error, grpc.FutureCancelledError):
                raise Cancelled("MEDIA_CANCELLED", "the job was stopped") from error
            raise from_rpc_error(error, "recorder") from error
        if self._failure is not None:
            raise self._failed()
        return answer

    def _sent(self, recorder: Any) -> Answer:
        begun = self._beginning()
        if begun.request is not None:
            with begun.reading:
                answer: Answer = self._result(recorder.RecordEntity, begun.request)
                self._counted(len(begun.request.data))
                return answer
        try:
            answer = self._result(recorder.WriteEntity, self._requests(begun))
            return answer
        finally:
            if self._reader.acquire(blocking=False):
                # The call was over before gRPC asked for the first message.
                begun.reading.close()

    def _beginning(self) -> _Begun:
        # In a thread of its own: a backend that stalls must not hold up who stops this one.
        threading.Thread(target=self._read_beginning, name="product", daemon=True).start()
        begun = self._arrived.get()
        if begun is None and self._taken.acquire(blocking=False):
            raise Cancelled("MEDIA_CANCELLED", "the job was stopped")
        while begun is None:  # stopped, with the beginning on its way
            begun = self._arrived.get()
        if isinstance(begun, Exception):
            self._failure = begun
            raise self._failed() from begun
        return begun

    def _read_beginning(self) -> None:
        found: _Begun | Exception
        with ExitStack() as opened:
            try:
                opened.enter_context(closing(self._inspection))
                chunks = opened.enter_context(self._product.read())
                first, request = self._begin(chunks)
                found = _Begun(chain(first, chunks), request, opened.pop_all())
            except Exception as error:
                found = error
        if self._taken.acquire(blocking=False):
            self._arrived.put(found)
        elif isinstance(found, _Begun):
            found.reading.close()

    def _begin(
        self, chunks: Iterator[bytes]
    ) -> tuple[list[bytes], recorder_pb2.RecordEntityRequest | None]:
        """The first chunks, and what to send when they are all there are."""
        begun: list[bytes] = []
        size = 0
        if self._committed:
            return begun, None
        for data in chunks:
            begun.append(data)
            size += len(data)
            if size > SMALL_BYTES or self._stopped.is_set():
                return begun, None
        return begun, self._small(b"".join(begun))

    def _small(self, data: bytes) -> recorder_pb2.RecordEntityRequest:
        self._check_size(len(data))
        self._inspection.add(data)
        found = self._inspection.conclude()
        self._entity.metadata.update(found or {})
        return recorder_pb2.RecordEntityRequest(
            upload=self._upload, entity=self._entity, data=data, epoch=self._epoch
        )

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise ResourceExhausted(
                "MEDIA_TOO_LARGE", f"an output may have {self._max_bytes} bytes"
            )

    def _result(self, method: Any, request: object) -> Any:
        self._call = method.future(request, timeout=STREAM_SECONDS)
        if self._stopped.is_set():
            self._call.cancel()
        return self._call.result()

    def _failed(self) -> Exception:
        if isinstance(self._failure, ArtlabError):
            return self._failure
        wrapped = Internal("MEDIA_READ_FAILED", "the product could not be read")
        wrapped.__cause__ = self._failure
        return wrapped

    def _requests(self, begun: _Begun) -> Iterator[recorder_pb2.WriteEntityRequest]:
        if not self._reader.acquire(blocking=False):
            return
        # gRPC runs this in a thread of its own and would log an exception with its text.
        try:
            with begun.reading:
                yield from self._messages(begun.chunks)
        except Exception as error:
            self._failure = error
            if self._call is not None:
                self._call.cancel()

    def _messages(self, chunks: Iterator[bytes]) -> Iterator[recorder_pb2.WriteEntityRequest]:
        with ThreadPoolExecutor(1, thread_name_prefix="digest") as beside:
            yield from self._hashed_messages(chunks, beside)

    def _hashed_messages(
        self, chunks: Iterator[bytes], beside: ThreadPoolExecutor
    ) -> Iterator[recorder_pb2.WriteEntityRequest]:
        hashed = hashlib.sha256()
        size = 0
        first = True
        for data in chunks:
            if self._stopped.is_set():
                return
            self._check_size(size + len(data))
            self._inspection.add(data)
            if size < self._committed:
                known = data[: self._committed - size]
                hashed.update(known)
                size += len(known)
                if size == self._committed and self._prefixes[size] != hashed.digest():
                    raise DataLoss("PRODUCT_CHANGED", "the product is not what it was")
                data = data[len(known) :]
            if not data:
                continue
            # While it is sent.
            hashing = beside.submit(hashed.update, data)
            yield self._message(first, size, data)
            hashing.result()
            first = False
            size += len(data)
            self._prefixes[size] = hashed.digest()
            self._counted(size)
        if size < self._committed:
            raise DataLoss("PRODUCT_CHANGED", "the product is shorter than it was")
        # Others may be looked into first: the recorder hears that this one is still there.
        while (found := self._inspection.conclude(KEEPALIVE_SECONDS)) is None:
            yield self._message(first, size, b"")
            first = False
        message = self._message(first, size, b"")
        self._entity.metadata.update(found)
        message.entity.CopyFrom(self._entity)
        message.finish = True
        message.digest.CopyFrom(common_pb2.Digest(sha256=hashed.hexdigest(), size_bytes=size))
        yield message

    def _message(self, first: bool, offset: int, data: bytes) -> recorder_pb2.WriteEntityRequest:
        message = recorder_pb2.WriteEntityRequest(offset=offset, data=data, epoch=self._epoch)
        if first:
            message.upload = self._upload
            message.entity.CopyFrom(self._entity)
        return message
