"""One attempt at one upload: who stops it waits for nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import pytest

from artlab.recorder.v1 import run_pb2
from services.kit.errors import Cancelled, Internal
from services.media.inspection import TextInspection
from services.media.ports import Product
from services.media.upload_stream import UploadStream

SECONDS = 10.0


def attempt(product: Product) -> UploadStream:
    return UploadStream(
        upload="runs/x/uploads/output-1",
        epoch=0,
        product=product,
        entity=run_pb2.Entity(type="output_text"),
        committed=0,
        prefixes={},
        max_bytes=1000,
        counted=lambda size: None,
        inspection=TextInspection("text"),
    )


# None of these gets as far as the recorder.
NOBODY = cast(Any, None)


def test_one_whose_backend_stalls_is_stopped_at_once_and_closed_when_it_goes_on() -> None:
    stalls, goes_on, closed = threading.Event(), threading.Event(), threading.Event()

    @contextmanager
    def read() -> Iterator[Iterator[bytes]]:
        def chunks() -> Iterator[bytes]:
            stalls.set()
            goes_on.wait(SECONDS)
            yield b"late"

        yield chunks()
        closed.set()

    stream = attempt(Product(read=read, backend="slow", model=""))
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(stream.run, NOBODY)
        assert stalls.wait(SECONDS)
        stream.stop()
        with pytest.raises(Cancelled):
            running.result(SECONDS)
        assert not closed.is_set()
        goes_on.set()
    assert closed.wait(SECONDS)


def test_a_product_that_cannot_be_read_is_told_as_that() -> None:
    def read() -> AbstractContextManager[Iterator[bytes]]:
        raise OSError("gone")

    with pytest.raises(Internal) as failed:
        attempt(Product(read=read, backend="gone", model="")).run(NOBODY)
    assert failed.value.reason == "MEDIA_READ_FAILED"
