"""`artlab scrub`: every run below a root, from outside, also while a recorder writes there."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from click.testing import CliRunner, Result

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.cli.commands.scrub import scrub
from tests.integration.recorder.harness import World, entity, picture, stream
from tests.integration.recorder.test_scrub import final_run, flip
from tests.support.command import artlab_process


def scrubbed(root: Path, *options: str) -> Result:
    return CliRunner().invoke(scrub, [str(root), *options])


async def test_a_sound_root_is_told_in_one_line(disk: World) -> None:
    for _ in range(3):
        await final_run(disk)
    await disk.create()
    result = scrubbed(disk.root)
    assert result.exit_code == 0
    size = sum(file.stat().st_size for file in disk.root.glob("*-*/*"))
    assert size < 100 * 1024
    assert result.stdout.startswith(f"{disk.root}: 4 runs, ")
    assert result.stdout.endswith(" KiB: no damage\n")


async def test_every_damage_is_a_line_and_the_others_are_looked_at(disk: World) -> None:
    names = sorted([await final_run(disk) for _ in range(4)])
    flip(disk.folder(names[0]) / "01_input.txt")
    (disk.folder(names[2]) / "metadata.json").unlink()
    result = scrubbed(disk.root)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:2] == [
        f"{disk.folder(names[0])}: 01_input.txt: not the recorded SHA-256",
        f"{disk.folder(names[2])}: metadata.json: No such file or directory",
    ]
    assert result.stdout.endswith(": 2 damaged\n")
    assert "4 runs" in result.stdout


async def test_the_rate_is_a_bound(disk: World) -> None:
    name = await disk.create()
    data = picture(1024 * 1024)
    await disk.write(stream(f"{name}/uploads/o", data, chunk=256 * 1024))
    began = time.monotonic()
    assert scrubbed(disk.root, "--rate", "2").exit_code == 0
    assert time.monotonic() - began >= len(data) / 2e6


async def test_interrupted_it_does_not_claim_to_have_seen_all(disk: World, tmp_path: Path) -> None:
    small = await disk.create("00000000-0000-4000-8000-000000000000")
    (disk.folder(small) / "metadata.json").unlink()
    large = await disk.create("ffffffff-ffff-4fff-8fff-ffffffffffff")
    data = picture(1024 * 1024)
    await disk.write(stream(f"{large}/uploads/o", data, chunk=256 * 1024))
    arguments = ("scrub", str(disk.root), "--rate", "0.01")
    async with artlab_process(*arguments, cwd=tmp_path) as process:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert b"metadata.json" in await process.stdout.readline()
            process.send_signal(signal.SIGINT)
            told = (await process.stdout.read()).decode()
            assert await process.wait() == 130
    assert told == f"{disk.root}: interrupted after 1 of 2 runs: 1 damaged so far\n"


def test_an_empty_root_has_no_damage(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    result = scrubbed(tmp_path)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}: 0 runs, 0 B: no damage\n")


def test_a_root_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    assert scrubbed(tmp_path / "nowhere").exit_code == 2
    assert scrubbed(tmp_path, "--rate", "0").exit_code == 2


async def test_runs_that_are_written_and_deleted_meanwhile_are_no_damage(served: World) -> None:
    stopping, made = False, 0

    async def write() -> None:
        nonlocal made
        while not stopping:
            made += 1
            stays = made % 2
            name = await served.create(outputs=[])
            for number in range(5):
                await served.record(
                    f"{name}/uploads/{number}",
                    os.urandom(400).hex().encode(),
                    entity("interception"),
                )
            data = picture(300_000)
            await served.write(stream(f"{name}/uploads/o", data, chunk=64 * 1024))
            if stays:
                await served.finalize(name, run_pb2.RUN_STATE_SUCCEEDED)
            else:
                await served.call("DeleteRun", pb.DeleteRunRequest(name=name))

    writers = [asyncio.create_task(write()) for _ in range(4)]
    looks = 0
    while made < 40 or looks < 3:
        result = await asyncio.to_thread(scrubbed, served.root)
        assert result.exit_code == 0, result.output
        looks += 1
    stopping = True
    await asyncio.gather(*writers)
    assert scrubbed(served.root).exit_code == 0
    assert len(list(served.root.glob("*-*"))) > 10


async def test_damage_is_told_although_a_recorder_writes_beside_it(served: World) -> None:
    damaged, busy = await final_run(served), await served.create()
    flip(served.folder(damaged) / "01_input.txt")
    stopping = False

    async def write() -> None:
        number = 0
        while not stopping:
            number += 1
            await served.record(f"{busy}/uploads/{number}", b"text", entity("interception"))

    writer = asyncio.create_task(write())
    result = await asyncio.to_thread(scrubbed, served.root)
    stopping = True
    await writer
    assert result.exit_code == 1
    assert [line for line in result.stdout.splitlines() if ": 0" in line] == [
        f"{served.folder(damaged)}: 01_input.txt: not the recorded SHA-256"
    ]
