"""A recorder to talk to: the one that runs, or one of our own for the time of a command."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from artlab.recorder.v1 import recorder_pb2_grpc
from services.cli.domain.exit_codes import FAILED, INTERRUPTED
from services.cli.domain.printable import printable
from services.cli.fleet import Fleet, ServiceFailed
from services.cli.interrupts import Interrupted, interrupts
from services.cli.ports import PortsInUse, free_ports
from services.cli.settings import CliSettings
from services.cli.wiring import wire
from services.kit.channel import is_serving, open_channel
from services.kit.errors import ArtlabError
from services.kit.settings import load_settings

DEFAULT_ROOT = "pipeline_runs"
PROBE_SECONDS = 2.0
_ROOT = "ARTLAB_RECORDER_ROOT"
_TARGET = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,200}:[0-9]{1,5}", re.ASCII)


class NoRecorder(Exception):
    """There is no recorder to talk to; the message says what to do."""


@dataclass(frozen=True, slots=True)
class RecorderChoice:
    """What a person said about it: host:port, or the folder of the runs, or neither."""

    target: str | None
    root: Path | None


@dataclass(frozen=True, slots=True)
class RecorderAccess:
    """A recorder that answers."""

    # Generated without types for asyncio.
    stub: Any
    target: str
    is_our_own: bool


def recorder_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --recorder and --root to a command; it gets them as one `choice`."""

    @click.option(
        "--recorder",
        "target",
        metavar="HOST:PORT",
        callback=_parse_target,
        help="A recorder that runs. Default: the one at port 17806 here, else one of our own.",
    )
    @click.option(
        "--root",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the runs, opened by a recorder of our own. "
        "Default: ARTLAB_RECORDER_ROOT, or pipeline_runs.",
    )
    @functools.wraps(command)
    def with_choice(target: str | None, root: Path | None, **others: Any) -> None:
        if target and root:
            raise click.UsageError("--recorder and --root: choose one")
        command(choice=RecorderChoice(target, root), **others)

    return with_choice


def run_with_recorder(
    choice: RecorderChoice,
    work: Callable[[RecorderAccess], Awaitable[int]],
    *,
    make_root: bool = False,
) -> int:
    """Return the exit code of `work`, done with a recorder; whatever fails is told on stderr.

    The first Ctrl-C cancels the work and is 130. `make_root`: a folder of runs that is not there
    yet may be made.
    """
    return asyncio.run(_run(choice, work, make_root))


async def _run(
    choice: RecorderChoice, work: Callable[[RecorderAccess], Awaitable[int]], make_root: bool
) -> int:
    settings = load_settings("cli", CliSettings)

    async def perform() -> int:
        async with recorder_access(choice, settings.start_seconds, make_root=make_root) as access:
            if not access.is_our_own and choice.target is None:
                # It may keep other runs than those of the folder somebody stands in.
                click.echo(f"artlab: asking the recorder that runs at {access.target}", err=True)
            return await work(access)

    with interrupts() as wishes:
        try:
            return await wishes.unless_asked(perform())
        except Interrupted:
            return INTERRUPTED
        except (NoRecorder, PortsInUse) as error:
            click.echo(f"artlab: {error}", err=True)
        except ArtlabError as error:
            click.echo(f"artlab: {printable(str(error))}", err=True)
    return FAILED


@asynccontextmanager
async def recorder_access(
    choice: RecorderChoice, start_seconds: float, *, make_root: bool = False
) -> AsyncIterator[RecorderAccess]:
    """Yield a recorder that answers; one of our own is stopped at the end.

    Raises NoRecorder when the chosen one does not answer, or none can be started.
    """
    async with AsyncExitStack() as stack:
        target = await _running(choice)
        is_our_own = target is None
        if target is None:
            root = (choice.root or Path(os.environ.get(_ROOT, DEFAULT_ROOT))).absolute()
            if not make_root and not root.is_dir():
                raise NoRecorder(f"no recorder answers, and there is no folder {root}")
            target = await _start(stack, os.environ, root, start_seconds)
        channel = await stack.enter_async_context(open_channel(target))
        yield RecorderAccess(recorder_pb2_grpc.RecorderServiceStub(channel), target, is_our_own)


async def _running(choice: RecorderChoice) -> str | None:
    """The recorder that is meant, None when one of our own is."""
    if choice.root is not None:
        return None
    target = choice.target or wire(os.environ)["recorder"].target
    if await is_serving(target, PROBE_SECONDS):
        return target
    if choice.target is not None:
        raise NoRecorder(f"no recorder answers at {choice.target}")
    return None


async def _start(
    stack: AsyncExitStack, environ: Mapping[str, str], root: Path, start_seconds: float
) -> str:
    own = {**environ, _ROOT: str(root), "ARTLAB_RECORDER_HOST": "127.0.0.1"}
    spec = wire(own, free_ports(("recorder",)))["recorder"]
    logs = stack.enter_context(tempfile.TemporaryDirectory(prefix="artlab-recorder-"))
    fleet = await stack.enter_async_context(Fleet({"recorder": spec}, Path(logs)))
    try:
        await fleet.start_all(start_seconds)
    except ServiceFailed as error:
        if "STORE_LOCKED" in str(error):
            raise NoRecorder(
                f"another recorder uses {root}: name it by --recorder HOST:PORT, or stop it"
            ) from error
        if "STORE_MISSING" in str(error):
            raise NoRecorder(f"{root} is no folder, and none can be made there") from error
        raise NoRecorder(str(error)) from error
    return spec.target


def _parse_target(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and _TARGET.fullmatch(value) is None:
        raise click.BadParameter("expected an address such as 127.0.0.1:17806")
    return value
