"""Damage on the disk, as a browser hears of it: 410 with a reason, and never wrong bytes."""

from __future__ import annotations

import random
from pathlib import Path

import httpx
import pytest

from artlab.recorder.v1 import recorder_pb2_grpc
from services.kit.channel import open_channel
from tests.integration.gateway.test_real_recorder import (
    finish,
    make_run,
    real,
    record,
    upload_picture,
)
from tests.integration.gateway.world import RUN


async def told(client: httpx.AsyncClient, path: str) -> tuple[int, str]:
    """Status and reason of an answer."""
    response = await client.get(f"/api/pipeline/{RUN}/{path}")
    reason = response.json()["reason"] if response.status_code >= 400 else ""
    return response.status_code, reason


async def flip_all(tmp_path: Path, stride: int) -> None:
    chance = random.Random(3)
    async with real(tmp_path) as (served, client), open_channel(f"127.0.0.1:{served.port}") as c:
        stub = recorder_pb2_grpc.RecorderServiceStub(c)
        await make_run(stub)
        await record(stub, "interception", "Blüten".encode() * 3, 2)
        await upload_picture(stub)
        await finish(stub)
        for filename, paths, reason in (
            ("metadata.json", ("status", "entities", "entities/1"), "METADATA_CORRUPT"),
            ("01_input.txt", ("entities/1", "entity/input"), "ENTITY_CORRUPT"),
            ("02_interception.txt", ("entities/2",), "ENTITY_CORRUPT"),
        ):
            file = served.root / RUN / filename
            good = file.read_bytes()
            for at in range(0, len(good), stride if filename == "metadata.json" else 1):
                changed = bytearray(good)
                changed[at] ^= 1 << chance.randrange(8)
                file.write_bytes(changed)
                for path in paths:
                    assert await told(client, path) == (410, reason), f"{filename} {at} {path}"
            file.write_bytes(good)
            for path in paths:
                assert await told(client, path) == (200, "")


async def test_damage_anywhere_in_a_run_is_410_with_a_reason(tmp_path: Path) -> None:
    await flip_all(tmp_path, stride=17)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_damage_at_any_byte_of_a_run_is_410_with_a_reason(tmp_path: Path) -> None:
    await flip_all(tmp_path, stride=1)
