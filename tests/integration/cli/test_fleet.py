"""Processes are started together, told apart when they fail, and never left behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from pathlib import Path

import pytest

from services.cli.fleet import Fleet, ServiceFailed
from tests.integration.cli.stand_ins import is_alive, listens, stand_ins
from tests.support.eventually import eventually


def stopped_at(fleet: Fleet, name: str) -> float:
    found = re.search(r"stopped at ([0-9.]+)", fleet.log(name).read_text())
    assert found is not None, fleet.log(name).read_text()
    return float(found[1])


async def test_every_process_is_gone_after_the_block(tmp_path: Path) -> None:
    specs = stand_ins(recorder="serve", media="serve", gateway="serve")
    async with Fleet(specs, tmp_path, is_ready=listens) as fleet:
        await fleet.start_all(10)
        pids = [child.pid for child in fleet.children.values()]
        assert all(is_alive(pid) for pid in pids)
    assert not any(is_alive(pid) for pid in pids)
    assert [child.exit_code for child in fleet.children.values()] == [0, 0, 0]


async def test_callers_stop_before_those_they_call(tmp_path: Path) -> None:
    specs = stand_ins(
        recorder="serve", safety="serve", media="serve", orchestrator="serve", gateway="serve"
    )
    async with Fleet(specs, tmp_path, is_ready=listens) as fleet:
        await fleet.start_all(10)
    order = sorted(specs, key=lambda name: stopped_at(fleet, name))
    assert order[:2] == ["gateway", "orchestrator"]
    assert order[-1] == "recorder"


async def test_a_process_that_ignores_sigterm_is_killed_within_ten_seconds(tmp_path: Path) -> None:
    specs = stand_ins(recorder="serve", media="deaf", orchestrator="deaf", gateway="deaf")
    async with Fleet(specs, tmp_path, is_ready=listens) as fleet:
        await fleet.start_all(10)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    codes = {name: child.exit_code for name, child in fleet.children.items()}
    assert codes == {"recorder": 0, "media": -9, "orchestrator": -9, "gateway": -9}


async def test_one_that_ends_at_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    specs = stand_ins(recorder="serve", media="die")
    async with Fleet(specs, tmp_path, is_ready=listens) as fleet:
        with pytest.raises(ServiceFailed) as caught:
            await fleet.start_all(10)
    assert caught.value.service == "media"
    assert "exit code 7" in str(caught.value)
    assert "cannot open the palette" in str(caught.value)
    assert not is_alive(fleet.children["recorder"].pid)


async def test_one_that_never_answers_is_named_after_the_deadline(tmp_path: Path) -> None:
    specs = stand_ins(recorder="serve", media="mute")
    async with Fleet(specs, tmp_path, is_ready=listens) as fleet:
        with pytest.raises(ServiceFailed, match=r"media does not answer after 0\.5 s"):
            await fleet.start_all(0.5)
    assert not is_alive(fleet.children["media"].pid)


async def test_what_a_service_started_itself_ends_with_it(tmp_path: Path) -> None:
    specs = stand_ins(media="parent")
    async with Fleet(specs, tmp_path, is_ready=listens) as fleet:
        await fleet.start_all(10)
        found = re.search(r"grandchild (\d+)", fleet.log("media").read_text())
        assert found is not None
        grandchild = int(found[1])
        assert is_alive(grandchild)
    await eventually(lambda: not is_alive(grandchild), what="the end of the grandchild")


async def test_children_have_a_process_group_of_their_own(tmp_path: Path) -> None:
    async with Fleet(stand_ins(media="serve"), tmp_path, is_ready=listens) as fleet:
        child = await fleet.start("media")
        assert os.getpgid(child.pid) == child.pid != os.getpgid(0)


async def test_kill_ends_a_stop_that_would_take_longer(tmp_path: Path) -> None:
    specs = stand_ins(recorder="deaf", orchestrator="deaf", gateway="deaf")
    async with Fleet(specs, tmp_path, is_ready=listens) as fleet:
        await fleet.start_all(10)
        began = time.monotonic()
        stopping = asyncio.create_task(fleet.stop())
        await asyncio.sleep(0)
        fleet.kill()
        await stopping
        assert time.monotonic() - began < 1.0


async def test_the_log_of_the_time_before_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    for mode in ("serve", "deaf"):
        async with Fleet(stand_ins(media=mode), tmp_path, is_ready=listens) as fleet:
            await fleet.start_all(10)
            fleet.kill()
    assert "stand-in deaf" in (tmp_path / "media.log").read_text()
    assert "stand-in serve" in (tmp_path / "media.log.1").read_text()


async def test_a_process_killed_from_outside_is_told_by_its_signal(tmp_path: Path) -> None:
    async with Fleet(stand_ins(media="mute"), tmp_path, is_ready=listens) as fleet:
        child = await fleet.start("media")
        await eventually(lambda: "stand-in" in fleet.log("media").read_text())
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(ServiceFailed, match="signal SIGKILL"):
            await fleet.wait_ready("media", 10)
