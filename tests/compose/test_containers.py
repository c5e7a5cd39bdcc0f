"""The images really built, the compose file really brought up, a run really made in it.

Slow, so only `make test-compose` runs it; skipped, with the line that says what to install, where
podman is missing.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from tests.compose.podman import ROOT, SERVICES, environment, missing_tools, podman
from tests.compose.stack import Stack, wait_until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

PROMPT = "Eine Blume auf der Wiese"
MEDIA_COPIES = 3
OUTAGE_SECONDS = 20.0
NAMES = {
    "01_input.txt",
    "02_translation.txt",
    "03_safety.json",
    "04_interception.txt",
    "05_safety_pre_output.json",
    "06_output_image.png",
    "07_safety_image.json",
    "metadata.json",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    if missing := missing_tools():
        pytest.skip(missing)
    found = Stack()
    # What an interrupted test left.
    found.clear(with_volume=True)
    found.remove_images()
    try:
        found.build()
        found.up("--scale", f"media={MEDIA_COPIES}")
        found.wait_until_ready()
        yield found
    finally:
        found.http.close()
        found.clear(with_volume=True)
        found.remove_images()


def _try_run(stack: Stack, prompt: str = PROMPT) -> httpx.Response:
    body = {"schema": "dada", "input_text": prompt}
    return stack.http.post("/api/schema/pipeline/execute", json=body)


def _make_run(stack: Stack, prompt: str = PROMPT) -> dict[str, Any]:
    """A run, as a client makes it that comes again when told that something is away for now.

    The name server of Debian's podman now and then leaves one container without an answer for
    half a minute after others were added.
    """
    answers: list[httpx.Response] = []

    def is_taken() -> bool:
        answers.append(_try_run(stack, prompt))
        return answers[-1].status_code != httpx.codes.SERVICE_UNAVAILABLE

    wait_until(is_taken, "a run is taken")
    assert answers[-1].status_code == httpx.codes.OK, answers[-1].text
    found = answers[-1].json()
    assert found["status"] == "success", found
    assert isinstance(found, dict)
    return found


def _makes_run_with(stack: Stack, copy: str) -> bool:
    return _make_run(stack)["run_id"] in stack.logs(copy)


def test_the_demo_succeeds_through_the_published_port_and_leaves_a_run_folder(
    stack: Stack,
) -> None:
    run_id = _make_run(stack)["run_id"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "services.cli", "run", PROMPT, "--config", "dada"),
            *("--url", f"http://127.0.0.1:{stack.port}"),
        ],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folders = [path for path in stack.recorded().iterdir() if (path / "metadata.json").exists()]
    assert len(folders) == 2
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == NAMES
        assert (folder / "01_input.txt").read_text() == PROMPT
        assert (folder / "06_output_image.png").read_bytes().startswith(b"\x89PNG\r\n")
        described = json.loads((folder / "metadata.json").read_text())
        assert described["status"] == "succeeded"
        for entity in described["entities"]:
            data = (folder / entity["filename"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == entity["sha256"]
    assert run_id in {path.name for path in folders}


def test_only_the_gateway_is_reachable_from_outside_and_only_on_loopback(stack: Stack) -> None:
    published = {name: podman("port", name).split() for name in stack.containers()}
    (gateway,) = stack.containers("gateway")
    assert published.pop(gateway) == ["17801/tcp", "->", f"127.0.0.1:{stack.port}"]
    assert set(map(tuple, published.values())) == {()}


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_rights_and_writes_nowhere(stack: Stack, service: str) -> None:
    name = stack.containers(service)[0]
    status = dict(
        line.split(":", 1)
        for line in stack.python(name, "print(open('/proc/1/status').read())").splitlines()
        if ":" in line
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert status["Gid"].split() == ["10001"] * 4
    assert {int(status[key], 16) for key in ("CapPrm", "CapEff", "CapBnd", "CapInh")} == {0}
    assert status["NoNewPrivs"].strip() == "1"
    code = """
import os
mounts = dict(line.split()[1:3] for line in open('/proc/mounts'))
for folder, _, _ in os.walk('/'):
    if not folder.startswith(('/proc', '/sys', '/dev')) and os.access(folder, os.W_OK):
        while folder not in mounts:
            folder = os.path.dirname(folder)
        print(folder, mounts[folder])
"""
    written = dict(line.split() for line in stack.python(name, code).splitlines())
    assert written["/tmp"] == "tmpfs"
    # Podman gives a read-only container more folders in memory than the file asks for.
    on_disk = {path for path, kind in written.items() if kind != "tmpfs"}
    assert on_disk == ({"/data"} if service == "recorder" else set())


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_its_service_and_nothing_of_development(stack: Stack, service: str) -> None:
    name = stack.containers(service)[0]
    found = stack.python(name, "import os; print(*os.listdir('/app'), *os.listdir('services'))")
    assert set(found.split()) - {"__init__.py", "__pycache__"} == {
        *("services", "protos", "configs", "kit"),
        service,
    }
    packages = stack.python(
        name,
        "from importlib.metadata import distributions; "
        "print(*sorted(d.name.lower() for d in distributions(path=['/opt/artlab/lib/python3.11/"
        "site-packages'])))",
    ).split()
    assert "grpcio" in packages
    assert not set(packages) & {"pip", "setuptools", "pytest", "mypy", "grpcio-tools"}
    history = podman("history", "--no-trunc", "--format", "{{.CreatedBy}}", name_of_image(service))
    assert "pip_conf" not in history
    assert "index" not in history


def name_of_image(service: str) -> str:
    return f"localhost/artlab-{service}:test"


def test_every_health_check_says_yes_and_says_no_for_a_stopped_process(stack: Stack) -> None:
    for name in stack.containers():
        assert stack.is_healthy(name), name
    (safety,) = stack.containers("safety")
    podman("pause", safety)
    try:
        wait_until(lambda: not stack.is_ready(), "the gateway is not ready without safety")
    finally:
        podman("unpause", safety)
    stack.wait_until_ready()


def test_three_copies_of_media_share_the_work(stack: Stack) -> None:
    copies = stack.containers("media")
    assert len(copies) == MEDIA_COPIES
    runs = [_make_run(stack, f"{PROMPT} {number}")["run_id"] for number in range(9)]
    worked = {name: [run for run in runs if run in stack.logs(name)] for name in copies}
    assert sorted(run for done in worked.values() for run in done) == sorted(runs), worked
    assert all(worked.values()), worked


def test_a_copy_that_crashes_is_stood_in_for_and_gets_work_again(stack: Stack) -> None:
    crashed = stack.containers("media")[0]
    before = stack.inspect(crashed)["State"]["Pid"]
    stack.kill(crashed)
    _make_run(stack)
    wait_until(
        lambda: stack.inspect(crashed)["State"]["Pid"] not in (0, before), "the copy is back"
    )
    wait_until(lambda: stack.is_healthy(crashed), "the copy is healthy")
    wait_until(lambda: _makes_run_with(stack, crashed), "the copy gets work")


def test_a_recorder_that_crashes_comes_back_with_every_run(stack: Stack) -> None:
    run_id = _make_run(stack)["run_id"]
    before = stack.http.get(f"/api/pipeline/{run_id}/status").json()
    stack.kill(*stack.containers("recorder"))

    def is_back() -> bool:
        answer = stack.http.get(f"/api/pipeline/{run_id}/status")
        return answer.status_code == httpx.codes.OK and answer.json() == before

    wait_until(is_back, "the run is readable again")
    stack.wait_until_ready()
    _make_run(stack)


def test_after_an_outage_of_the_recorder_runs_work_again(stack: Stack) -> None:
    (recorder,) = stack.containers("recorder")
    podman("stop", "--time", "15", recorder)
    # While its name is unknown, whoever looks it up is made to wait longer and longer.
    began = time.monotonic()
    while time.monotonic() - began < OUTAGE_SECONDS:
        stack.is_ready()
        assert _try_run(stack).status_code == httpx.codes.SERVICE_UNAVAILABLE
    podman("start", recorder)
    wait_until(lambda: stack.is_healthy(recorder), "the recorder is healthy")
    _make_run(stack)


def test_they_stop_in_time_and_start_in_any_order_with_all_runs_kept(stack: Stack) -> None:
    run_id = _make_run(stack)["run_id"]
    names = stack.containers()
    began = time.monotonic()
    podman("stop", "--time", "15", *names)
    assert time.monotonic() - began < 15
    assert {name: stack.inspect(name)["State"]["ExitCode"] for name in names} == dict.fromkeys(
        names, 0
    )
    stack.clear(with_volume=False)

    # What others depend on comes last, and late.
    stack.up("gateway", "orchestrator", "--no-deps")
    wait_until(
        lambda: all(map(stack.is_healthy, stack.containers("gateway"))), "it is healthy alone"
    )
    assert not stack.is_ready()
    # It lives, and says that it cannot take a run.
    assert not any(map(stack.is_healthy, stack.containers("orchestrator")))
    stack.up("interception", "safety", "media", "--no-deps")
    assert not stack.is_ready()
    stack.up("recorder", "--no-deps")
    stack.wait_until_ready()
    assert stack.http.get(f"/api/pipeline/{run_id}/status").json()["status"] == "succeeded"
    _make_run(stack)


def test_copies_of_media_that_are_added_later_get_work_too(stack: Stack) -> None:
    if spare := stack.containers("media")[1:]:
        podman("rm", "--force", *spare)
    before = stack.containers("media")
    _make_run(stack)
    stack.up("--no-deps", "--no-recreate", "--scale", f"media={MEDIA_COPIES}", "media")
    added = set(stack.containers("media")) - set(before)
    assert len(added) == MEDIA_COPIES - 1
    for name in added:
        wait_until(partial(stack.is_healthy, name), "the new copy is healthy")
        # The orchestrator is connected already; it looks for more addresses before long.
        wait_until(partial(_makes_run_with, stack, name), "the new copy gets work")
