"""Podman and buildah, called as a person at a terminal would, each call with a deadline."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("recorder", "safety", "interception", "media", "orchestrator", "gateway")
OFFICIAL_BASE = "docker.io/library/python:3.11-slim"
STAND_IN_BASE = "localhost/artlab-base:bookworm"

CALL_SECONDS = 60.0
BUILD_SECONDS = 600.0

# Where Debian puts the two halves of podman's network; they are on nobody's PATH.
_NETWORK = ("/usr/lib/podman/netavark", "/usr/lib/podman/aardvark-dns")
_PACKAGES = "podman buildah runc debootstrap netavark aardvark-dns iptables"
_PIP_KEYS = re.compile(
    r"index-url|extra-index-url|find-links|no-index|trusted-host|proxy|cert|client-cert"
    r"|(default-)?timeout|retries"
)


class ToolError(Exception):
    """A command failed; the message holds the command and the end of what it said."""


def podman_compose() -> str | None:
    """Where podman-compose is: beside this interpreter, or on the PATH."""
    beside = Path(sys.executable).parent / "podman-compose"
    return str(beside) if beside.exists() else shutil.which("podman-compose")


def missing_tools() -> str:
    """One line that says what to install before images can be built here; empty when nothing."""
    if os.geteuid() != 0:
        return "building and running images here needs root"
    wanted: list[str] = []
    programs = ("podman", "buildah", "runc", "debootstrap", "iptables")
    if not all(map(shutil.which, programs)) or not all(Path(p).exists() for p in _NETWORK):
        wanted.append(f"apt-get install --no-install-recommends {_PACKAGES}")
    if podman_compose() is None:
        wanted.append("pip install podman-compose")
    return " && ".join(wanted)


def environment() -> dict[str, str]:
    """The caller's environment without Artlab's own variables, and with our podman settings."""
    found = {key: value for key, value in os.environ.items() if not key.startswith("ARTLAB_")}
    found.setdefault("CONTAINERS_CONF", str(ROOT / "tests/compose/containers.conf"))
    return found


def call(
    command: Sequence[str],
    *,
    seconds: float = CALL_SECONDS,
    variables: Mapping[str, str] | None = None,
) -> str:
    """Return what a command printed. Raises ToolError when it fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            env=environment() | dict(variables or {}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{' '.join(command)}: not done after {seconds} s") from error
    if done.returncode:
        raise ToolError(f"{' '.join(command)}: {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def podman(*arguments: str, seconds: float = CALL_SECONDS) -> str:
    """Run one podman command."""
    return call(["podman", *arguments], seconds=seconds)


def base_image() -> str:
    """Return a base image that is here: the official one, or a stand-in, made the first time."""
    for image in (OFFICIAL_BASE, STAND_IN_BASE):
        if podman("images", "--quiet", image).strip():
            return image
    call([str(ROOT / "tools/compose/base_image.sh"), STAND_IN_BASE], seconds=BUILD_SECONDS)
    return STAND_IN_BASE


def build(service: str, image: str, base: str) -> None:
    """Build the image of one service from the Dockerfile."""
    with _pip_setup() as as_here:
        call(
            [
                *("buildah", "bud", "--quiet", "--pull-never", "--runtime", "runc"),
                # OCI's own format has no health check; the host's network finds local proxies.
                *("--format", "docker", "--network", "host"),
                *("--build-arg", f"PYTHON_IMAGE={base}", "--build-arg", f"SERVICE={service}"),
                *as_here,
                *("--tag", image, "."),
            ],
            seconds=BUILD_SECONDS,
        )


@contextmanager
def _pip_setup() -> Iterator[list[str]]:
    """Build arguments that let pip in the image reach packages the way pip does here."""
    listed = call([sys.executable, "-m", "pip", "--no-input", "config", "list"])
    found: dict[str, str] = {}
    # `global.index-url='…'` from files; `:env:.index-url='…'` from PIP_…, which wins.
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        section, _, value = line.partition("=")
        key = section.rpartition(".")[2]
        if _PIP_KEYS.fullmatch(key):
            found[key] = " ".join(str(ast.literal_eval(value)).split())
    arguments = [f"--volume={folder}:{folder}:ro" for folder in sorted(_local_folders(found))]
    cert = found.get("cert") or os.environ.get("REQUESTS_CA_BUNDLE")
    if cert:
        arguments += ["--secret", f"id=ca_bundle,src={cert}"]
        found["cert"] = "/run/secrets/ca_bundle"
    with tempfile.NamedTemporaryFile("w", prefix="pip-", suffix=".conf") as file:
        file.write("[global]\n" + "".join(f"{key} = {value}\n" for key, value in found.items()))
        file.flush()
        yield [*arguments, "--secret", f"id=pip_conf,src={file.name}"]


def _local_folders(settings: Mapping[str, str]) -> set[Path]:
    """The folders of this machine in which pip's settings say that packages lie."""
    folders: set[Path] = set()
    for key in ("index-url", "extra-index-url", "find-links"):
        for word in settings.get(key, "").split():
            folder = Path(word.removeprefix("file://"))
            if folder.is_absolute() and folder.is_dir():
                # The pages of an index link to files beside it.
                beside = folder.parent if key != "find-links" else folder
                folders.add(folder if beside == beside.parent else beside)
    return folders
