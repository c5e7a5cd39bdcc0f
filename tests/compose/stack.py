"""The six services of docker-compose.yml, running as containers under a project of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.compose.podman import (
    SERVICES,
    ToolError,
    base_image,
    build,
    call,
    podman,
    podman_compose,
)

PROJECT = "artlabtest"
TAG = "test"
READY_SECONDS = 90.0
_POLL_SECONDS = 0.2
_LAST_LINES = 25


def wait_until(holds: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Return as soon as it holds. Raises AssertionError when it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not after {seconds} s: {what}"
        time.sleep(_POLL_SECONDS)


class Stack:
    """What podman-compose brought up, and the way in through the published port."""

    def __init__(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=120.0, trust_env=False
        )

    def build(self) -> None:
        """Build the six images."""
        base = base_image()
        for service in SERVICES:
            build(service, f"localhost/artlab-{service}:{TAG}", base)

    def up(self, *arguments: str) -> None:
        """Create and start the containers."""
        compose = podman_compose()
        assert compose
        variables = {
            "TAG": TAG,
            "ARTLAB_GATEWAY_PORT": str(self.port),
            # Podman before 4.7 does not know the word host-gateway.
            "HOST_GATEWAY": "10.255.255.1",
        }
        # Not what somebody's own .env says.
        command = [compose, "--project-name", PROJECT, "--env-file", os.devnull]
        # A pod would share one network between all of them.
        command += ["--in-pod", "false", "up", "--detach", "--no-build", *arguments]
        call(command, seconds=120, variables=variables)

    def clear(self, *, with_volume: bool) -> None:
        """Remove containers and network, and what was recorded too when asked."""
        mine = f"label=io.podman.compose.project={PROJECT}"
        if names := podman("ps", "--all", "--quiet", "--filter", mine).split():
            podman("rm", "--force", "--time", "10", *names, seconds=120)
        for kind in ("network", "volume") if with_volume else ("network",):
            if names := podman(kind, "ls", "--quiet", "--filter", mine).split():
                podman(kind, "rm", *names)

    def remove_images(self) -> None:
        """Remove the images; the base image stays for the next time."""
        for service in SERVICES:
            image = f"localhost/artlab-{service}:{TAG}"
            if podman("images", "--quiet", image).strip():
                podman("rmi", image)

    def containers(self, service: str | None = None) -> list[str]:
        """The names of the containers, of one service or of all."""
        filters = [f"label=io.podman.compose.project={PROJECT}"]
        if service:
            filters.append(f"label=com.docker.compose.service={service}")
        options = [word for each in filters for word in ("--filter", each)]
        return sorted(podman("ps", "--all", *options, "--format", "{{.Names}}").split())

    def inspect(self, container: str) -> dict[str, Any]:
        """What podman knows of a container."""
        found = json.loads(podman("container", "inspect", container))[0]
        assert isinstance(found, dict)
        return found

    def python(self, container: str, code: str) -> str:
        """Run a piece of Python inside a container and return what it printed."""
        return podman("exec", container, "python", "-c", code)

    def is_healthy(self, container: str) -> bool:
        """Run the health check of the container once."""
        try:
            podman("healthcheck", "run", container)
        except ToolError:
            return False
        return True

    def is_ready(self) -> bool:
        """Ask the gateway whether it and its peers can work."""
        try:
            return self.http.get("/ready", timeout=10.0).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def wait_until_ready(self) -> None:
        """Return when the gateway says that runs are welcome."""
        wait_until(self.is_ready, "the gateway is ready")

    def kill(self, container: str) -> None:
        """End the process in a container as a crash would; `podman kill` counts as a wish."""
        os.kill(int(self.inspect(container)["State"]["Pid"]), signal.SIGKILL)

    def logs(self, container: str) -> str:
        """What a container wrote, both streams."""
        file = self.inspect(container)["HostConfig"]["LogConfig"]["Path"]
        return Path(file).read_text()

    def last_words(self) -> str:
        """The last lines of every container's log, for the report of a failed test."""
        said: list[str] = []
        for name in self.containers():
            state = self.inspect(name)["State"]
            said.append(f"--- {name}: {state['Status']}, exit status {state['ExitCode']}")
            said += self.logs(name).splitlines()[-_LAST_LINES:]
        return "\n".join(said)

    def recorded(self) -> Path:
        """Where the recorder's volume lies on this machine."""
        found = podman("volume", "inspect", f"{PROJECT}_pipeline_runs")
        return Path(json.loads(found)[0]["Mountpoint"])
