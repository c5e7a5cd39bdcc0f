"""A command finds the recorder that runs, starts one of its own, or says what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pytest

from services.cli.recorder_access import (
    NoRecorder,
    RecorderAccess,
    RecorderChoice,
    recorder_access,
    run_with_recorder,
)
from services.kit.errors import NotFound
from tests.faults.recorder_process import RecorderProcess, free_port

START_SECONDS = 20.0


@pytest.fixture(autouse=True)
def nobody_at_the_default_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTLAB_RECORDER_PORT", str(free_port()))


async def test_one_of_our_own_serves_the_folder_and_is_gone_afterwards(tmp_path: Path) -> None:
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    async with recorder_access(RecorderChoice(None, tmp_path), START_SECONDS) as access:
        assert access.is_our_own
        assert (tmp_path / ".uploads").is_dir()
    assert {one.pid for one in psutil.Process().children(recursive=True)} <= before


async def test_one_that_runs_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = RecorderProcess(tmp_path / "runs", tmp_path / "log")
    try:
        running.wait_until_serving()
        async with recorder_access(RecorderChoice(running.target, None), 1.0) as access:
            assert (access.target, access.is_our_own) == (running.target, False)
        monkeypatch.setenv("ARTLAB_RECORDER_PORT", str(running.port))
        async with recorder_access(RecorderChoice(None, None), 1.0) as access:
            assert (access.target, access.is_our_own) == (running.target, False)
        with pytest.raises(
            NoRecorder, match=r"another recorder uses .*runs: name it by --recorder"
        ):
            async with recorder_access(RecorderChoice(None, tmp_path / "runs"), START_SECONDS):
                pass
    finally:
        running.kill()


async def test_a_chosen_one_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NoRecorder, match=f"no recorder answers at {target}"):
            async with recorder_access(RecorderChoice(target, None), 1.0):
                pass


async def test_a_folder_that_is_not_there_is_made_only_where_that_is_meant(tmp_path: Path) -> None:
    choice = RecorderChoice(None, tmp_path / "runs")
    with pytest.raises(NoRecorder, match="there is no folder"):
        async with recorder_access(choice, START_SECONDS):
            pass
    assert not (tmp_path / "runs").exists()
    async with recorder_access(choice, START_SECONDS, make_root=True):
        assert (tmp_path / "runs").is_dir()


def test_whose_runs_are_meant_is_said_unless_somebody_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def nothing(access: RecorderAccess) -> int:
        return 0

    running = RecorderProcess(tmp_path / "runs", tmp_path / "log")
    try:
        running.wait_until_serving()
        monkeypatch.setenv("ARTLAB_RECORDER_PORT", str(running.port))
        assert run_with_recorder(RecorderChoice(None, None), nothing) == 0
        told = f"artlab: asking the recorder that runs at {running.target}\n"
        assert capsys.readouterr().err == told
        assert run_with_recorder(RecorderChoice(running.target, None), nothing) == 0
        assert capsys.readouterr().err == ""
    finally:
        running.kill()


def test_what_fails_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def fails(access: RecorderAccess) -> int:
        raise NotFound("RUN_NOT_FOUND", "no such run")

    assert run_with_recorder(RecorderChoice(None, tmp_path), fails) == 1
    assert capsys.readouterr().err == "artlab: RUN_NOT_FOUND: no such run\n"
