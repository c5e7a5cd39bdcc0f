"""The way of the bytes: in chunks, checked, bounded."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import threading
import time
from collections import deque

import psutil
import pytest

from services.kit.errors import ArtlabError, FailedPrecondition, ResourceExhausted, Unavailable
from services.media.comfy.address import parse_address
from services.media.comfy.download import CHUNK_BYTES, Download
from services.media.comfy.history import OutputFile
from services.media.ports import Product
from tests.fakes.comfyui import Script, fake_comfyui
from tests.fakes.comfyui.jobs import connected, ignore, make_job, read


async def test_chunks_are_of_256_kib_at_most_and_the_bytes_those_on_disk() -> None:
    script = Script(output_bytes=3_000_000)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        product = await backend.render(make_job(), ignore)

        def collect() -> list[bytes]:
            with product.read() as chunks:
                return list(chunks)

        chunks = await asyncio.to_thread(collect)
        path = fake.root / "output" / "artlab" / product.metadata["filename"]
        assert {len(chunk) for chunk in chunks[:-1]} == {CHUNK_BYTES}
        assert b"".join(chunks) == await asyncio.to_thread(path.read_bytes)


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        ("cut", Unavailable, "COMFY_DOWNLOAD_CUT"),
        ("empty", FailedPrecondition, "MEDIA_EMPTY"),
        ("404", FailedPrecondition, "COMFY_NO_OUTPUT"),
        ("500", Unavailable, "COMFY_UNAVAILABLE"),
    ],
)
async def test_a_download_that_fails_says_how_and_may_begin_anew(
    answer: str, kind: type[ArtlabError], reason: str
) -> None:
    script = Script(view_answers=deque([answer]), output_bytes=700_000)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        product = await backend.render(make_job(), ignore)
        with pytest.raises(kind) as caught:
            await read(product)
        assert caught.value.reason == reason
        assert len(await read(product)) == 700_000


async def test_a_deleted_file_is_no_output() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        product = await backend.render(make_job(), ignore)
        (fake.root / "output" / "artlab" / product.metadata["filename"]).unlink()
        with pytest.raises(FailedPrecondition) as caught:
            await read(product)
        assert caught.value.reason == "COMFY_NO_OUTPUT"


@pytest.mark.parametrize("answer", ["", "unannounced"])
async def test_more_bytes_than_allowed_are_refused(answer: str) -> None:
    script = Script(view_answers=deque([answer]), output_bytes=900_000)
    async with fake_comfyui(script=script) as fake:
        async with connected(fake.url, max_media_bytes=600_000) as backend:
            product = await backend.render(make_job(), ignore)
            with pytest.raises(ResourceExhausted) as caught:
                await read(product)
    assert caught.value.reason == "MEDIA_TOO_LARGE"


async def test_a_file_without_announced_length_is_read_to_its_end() -> None:
    script = Script(view_answers=deque(["unannounced"]), output_bytes=900_000)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        assert len(await read(await backend.render(make_job(), ignore))) == 900_000


async def test_comfyui_gone_before_the_download_is_unavailable() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        product = await backend.render(make_job(), ignore)
        await fake.stop()
        with pytest.raises(Unavailable) as caught:
            await read(product)
        assert caught.value.reason == "COMFY_UNAVAILABLE"


async def test_names_are_query_values_and_nothing_else() -> None:
    async with fake_comfyui() as fake:
        folder = fake.root / "output" / "a & b"
        folder.mkdir()
        (folder / "ü?#%20 1.png").write_bytes(b"bytes")
        file = OutputFile("ü?#%20 1.png", "a & b")
        download = Download(parse_address(fake.url), file, 1000)
        assert await read(Product(download.open, "comfyui", "")) == b"bytes"


async def test_leaving_a_download_halfway_closes_its_connection() -> None:
    script = Script(output_bytes=30_000_000)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        product = await backend.render(make_job(), ignore)

        def first() -> int:
            with product.read() as chunks:
                return len(next(chunks))

        assert await asyncio.to_thread(first) == CHUNK_BYTES
        assert await asyncio.to_thread(first) == CHUNK_BYTES


async def test_a_large_file_takes_no_memory() -> None:
    size = 100_000_000
    script = Script(output_bytes=size)
    async with fake_comfyui(script=script) as fake:
        async with connected(fake.url, max_media_bytes=size) as backend:
            product = await backend.render(make_job(), ignore)
            peak = _Peak()

            def digest() -> tuple[int, str]:
                hashed, count = hashlib.sha256(), 0
                with product.read() as chunks:
                    for chunk in chunks:
                        hashed.update(chunk)
                        count += len(chunk)
                return count, hashed.hexdigest()

            with peak:
                count, found = await asyncio.to_thread(digest)
            path = fake.root / "output" / "artlab" / product.metadata["filename"]
            with path.open("rb") as file:
                assert found == hashlib.file_digest(file, "sha256").hexdigest()
    assert count == size
    assert peak.grown_bytes < 24 * 1024 * 1024


class _Peak:
    """The most by which this process's resident memory grew meanwhile."""

    def __enter__(self) -> _Peak:
        gc.collect()
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self._most = self._before
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def _sample(self) -> None:
        while not self._stop.wait(0.01):
            self._most = max(self._most, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def grown_bytes(self) -> int:
        return self._most - self._before


async def test_a_sender_that_stops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.media.comfy.download.RECEIVE_TIMEOUT_SECONDS", 0.3)

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 10)
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(stall, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        address = parse_address(f"http://127.0.0.1:{port}")
        download = Download(address, OutputFile("a.png", ""), 10_000)
        began = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            await read(Product(download.open, "comfyui", ""))
    assert caught.value.reason == "COMFY_DOWNLOAD_CUT"
    assert time.monotonic() - began < 3.0
