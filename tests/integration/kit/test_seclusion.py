"""What a limited process that was taken over can learn of the service that started it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.kit.limited_child import Limits
from services.kit.limited_process import LimitedProcesses

LIMITS = Limits(256 << 20, 5, 10.0, 1 << 20)
TASK = "tests.support.limited_tasks:obedient"
ROOT = Path(__file__).resolve().parents[3]
# A service, as far as its secrets are concerned; prints what its child could read of it.
STARTER = """
import asyncio, subprocess, sys
from services.kit.limited_process import LimitedProcesses
from services.kit.seclusion import refuse_readers
from tests.integration.kit.test_seclusion import FILES, LIMITS, PLAIN, TASK

async def limited():
    async with LimitedProcesses(TASK, LIMITS) as processes:
        for name in FILES:
            print((await processes.call(f"peek {name}".encode())).decode())

if sys.argv[1] == "secluded":
    refuse_readers()
if sys.argv[2] == "limited":
    asyncio.run(limited())
else:
    subprocess.run([sys.executable, "-c", PLAIN], check=True)
"""
FILES = ("environ", "mem", "maps")
# An ordinary child, which nothing but its starter's wish keeps from reading.
PLAIN = f"""
from tests.support.limited_tasks import peek
for name in {FILES}:
    print(peek(name).decode())
"""
# Root without what makes it more than another user; as in a container, it is its own files' owner.
WITHOUT_RIGHTS = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
if os.geteuid() == 0:
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; gone with the next program
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def start(how: str, child: str, *, has_rights: bool = False) -> list[str]:
    """What a starter says its child could read."""
    before = () if has_rights else ("-c", WITHOUT_RIGHTS)
    done = subprocess.run(
        [sys.executable, *before, "-B", "-c", STARTER, how, child],
        cwd=ROOT,
        env=os.environ | {"ARTLAB_MEDIA_OPENAI_API_KEY": "sk-secret"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().split()


@pytest.mark.parametrize("child", ["limited", "plain"])
def test_a_child_can_read_nothing_of_a_service_that_is_secluded(child: str) -> None:
    assert start("secluded", child) == ["refused"] * 3


def test_an_ordinary_child_could_read_the_keys_of_one_that_is_not() -> None:
    # Or the test above would say nothing.
    assert start("open", "plain")[0] == "read"


def test_a_limited_child_of_root_loses_the_rights_of_root() -> None:
    if not _has_namespaces():
        pytest.skip("run it where `unshare --user --net true` works")
    assert start("secluded", "limited", has_rights=True) == ["refused"] * 3


async def test_a_child_has_no_network_where_the_system_lets_it_do_without() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, LimitedProcesses(TASK, LIMITS) as processes:
        found = await processes.call(f"connect {port}".encode())
    fenced = _has_namespaces() or _landlock() >= 4
    assert found == (b"nobody" if fenced else b"connected")


async def test_a_child_changes_nothing_and_signals_nobody(tmp_path: Path) -> None:
    if _landlock() < 6:
        pytest.skip("run it on Linux 6.12 or newer, with Landlock among its security modules")
    (tmp_path / "runs").mkdir()
    deeds = [
        f"make {tmp_path}/mine",
        f"remove {tmp_path}/runs",
        "run /bin/true",
        f"kill {os.getpid()}",
    ]
    async with LimitedProcesses(TASK, LIMITS) as processes:
        assert [await processes.call(deed.encode()) for deed in deeds] == [b"refused"] * 4
        # What it is for it can do.
        assert await processes.call(b"pid")
    assert os.listdir(tmp_path) == ["runs"]


def _has_namespaces() -> bool:
    return _told("leave_network()") == ""


def _told(call: str) -> str:
    """What a call of the module says in a process of its own."""
    code = f"from services.kit.seclusion import *\nprint({call})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=30
    )
    return done.stdout.decode().strip()


def _landlock() -> int:
    """The version of Landlock's interface; less than 1 where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(444, None, ctypes.c_size_t(0), 1))
