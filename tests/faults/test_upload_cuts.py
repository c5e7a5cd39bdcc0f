"""A large upload by the real client, cut again and again: right in the end, hardly sent twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.channel import open_channel, open_sync_channel
from services.kit.ids import UploadName
from services.media.claim import Claim
from services.media.decoding.decoder import Decoder
from services.media.domain.request import EntityDraft
from services.media.inspection import Inspector
from services.media.ports import Product
from services.media.recording import Recording
from services.recorder.verify import verify_run
from tests.faults.chaos_proxy import ChaosProxy, CutAfter
from tests.faults.disturbed import RESEARCH, Chaos, stub_at
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import digest_of, picture_of
from tests.support.pictures import AROUND_BYTES

MIB = 1024 * 1024
SIZE_BYTES = 64 * MIB
CUTS = 20
# What the media service sends at a time.
CHUNK_BYTES = 256 * 1024
# Each cut may cost the chunk on its way; beyond that 5 % are for what was read ahead.
MOST_BYTES = int(1.05 * SIZE_BYTES) + CUTS * CHUNK_BYTES


def product_of(data: bytes) -> Product:
    @contextmanager
    def read() -> Iterator[Iterator[bytes]]:
        yield (data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES))

    return Product(read, "builtin", "test", len(data))


def draft() -> EntityDraft:
    return EntityDraft(
        type="output_image",
        output_index=1,
        started_at=datetime.now(UTC),
        duration=timedelta(seconds=1),
        attempt=1,
        backend="builtin",
        model="test",
        metadata={},
    )


async def test_64_mebibytes_cut_at_twenty_random_points_arrive_and_are_hardly_sent_twice(
    tmp_path: Path,
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    data = picture_of(chance.randbytes(SIZE_BYTES - AROUND_BYTES))
    points = sorted(chance.randrange(SIZE_BYTES) for _ in range(CUTS))
    process = RecorderProcess(tmp_path / "runs", tmp_path / "log")
    handed = 0

    def count(_: int) -> None:
        nonlocal handed
        handed += CHUNK_BYTES

    try:
        process.wait_until_serving()
        async with (
            ChaosProxy(process.target) as proxy,
            open_channel(proxy.target) as channel,
        ):
            chaos = Chaos(process, tmp_path / "runs", proxy)
            run = await chaos.create()
            for before, point in zip([0, *points], points, strict=False):
                proxy.arm(CutAfter(point - before))
            with open_sync_channel(proxy.target) as stream_channel:
                decoder = Decoder(1, waiting=1)
                recording = Recording(
                    channel,
                    stream_channel,
                    max_media_bytes=SIZE_BYTES,
                    max_streams=1,
                    inspector=Inspector(decoder, None),
                )
                try:
                    recorded = await recording.write(
                        UploadName.parse(f"{run}/uploads/output-1"),
                        Claim(0),
                        product_of(data),
                        draft(),
                        count,
                    )
                finally:
                    recording.close()
                    await decoder.aclose()
            assert (proxy.struck, proxy.armed) == (CUTS, 0)
            made = run_pb2.Entity.FromString(recorded.wire)
            assert made.digest == digest_of(data)
            request = pb.ReadEntityRequest(name=made.name, audience=RESEARCH)
            async with stub_at(process.target) as stub:
                parts = [part.data async for part in stub.ReadEntity(request, timeout=30)]
            assert b"".join(parts) == data
            assert chaos.leftovers(run) == []
            # What arrived at the proxy, and what the client gave away to be sent.
            print(f"sent {proxy.data_bytes / SIZE_BYTES:.3f}, handed {handed / SIZE_BYTES:.3f}")
            assert proxy.data_bytes <= MOST_BYTES
            assert handed <= MOST_BYTES
        assert verify_run(chaos.folder(run)) == []
    finally:
        process.kill()
