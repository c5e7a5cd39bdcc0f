"""`artlab backends`: what renders here, and taking an instance out of service for a while."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable

import click
import orjson

from artlab.media.v1 import media_pb2, media_pb2_grpc
from services.cli.backend_table import (
    backend_lines,
    backend_table,
    backends_as_json,
    instance_as_json,
)
from services.cli.domain.exit_codes import FAILED, INTERRUPTED, OK, USAGE
from services.cli.domain.printable import printable
from services.cli.interrupts import Interrupted, interrupts
from services.cli.terminal import Terminal
from services.cli.wiring import wire
from services.kit.channel import open_channel
from services.kit.errors import ArtlabError, InvalidArgument, NotFound
from services.kit.status import remote_errors

CALL_SECONDS = 30.0
_TARGET = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,200}:[0-9]{1,5}", re.ASCII)

Work = Callable[["media_pb2_grpc.MediaServiceAsyncStub"], Awaitable[None]]


def _parse_target(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and _TARGET.fullmatch(value) is None:
        raise click.BadParameter("expected an address such as 127.0.0.1:17805")
    return value


_media_option = click.option(
    "--media",
    "target",
    metavar="HOST:PORT",
    callback=_parse_target,
    help="The media service. Default: the one at ARTLAB_MEDIA_PORT here.",
)
_backend_option = click.option(
    "--backend", default="comfyui", show_default=True, help="Whose instance it is."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True, short_help="What renders here, and how it is doing.")
@_media_option
@_json_option
@click.pass_context
def backends(ctx: click.Context, target: str | None, as_json: bool) -> None:
    """List every backend of the media service, and what each of its instances does now.

    runs and waits count jobs of Artlab; queue is all that an instance has, also from others. In
    the row of a backend, waits counts the jobs that have no place on any instance yet. In a pipe
    or a file the rows are lines with tabs between the values, names in the first, sizes in bytes.

    Exit codes: 0 told, 1 the media service does not answer, 2 the request was wrong, 130
    interrupted.
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = target
        return

    async def work(stub: media_pb2_grpc.MediaServiceAsyncStub) -> None:
        found = await stub.ListBackends(media_pb2.ListBackendsRequest(), timeout=CALL_SECONDS)
        if as_json:
            click.echo(orjson.dumps(backends_as_json(found.backends)).decode())
            return
        console = Terminal()
        if console.is_terminal:
            console.print(backend_table(found.backends))
            return
        for line in backend_lines(found.backends):
            # As it is: a console would make spaces of tabs.
            click.echo(line)

    raise SystemExit(asyncio.run(_run(target, work)))


@backends.command(short_help="Give an instance no more jobs.")
@click.argument("url")
@_backend_option
@_media_option
@_json_option
@click.pass_context
def drain(ctx: click.Context, url: str, backend: str, target: str | None, as_json: bool) -> None:
    """Give the instance at URL no more jobs, for maintenance.

    What runs there goes on to its end; what waits there goes to another one. `artlab backends`
    tells when nothing is left. Until `undrain`, or a restart of the media service.
    """
    raise SystemExit(_set_draining(target or ctx.obj, backend, url, True, as_json))


@backends.command(short_help="Give an instance jobs again.")
@click.argument("url")
@_backend_option
@_media_option
@_json_option
@click.pass_context
def undrain(ctx: click.Context, url: str, backend: str, target: str | None, as_json: bool) -> None:
    """Give the instance at URL jobs again."""
    raise SystemExit(_set_draining(target or ctx.obj, backend, url, False, as_json))


def _set_draining(target: str | None, backend: str, url: str, draining: bool, as_json: bool) -> int:
    asked = media_pb2.SetInstanceDrainingRequest(backend=backend, url=url, draining=draining)

    async def work(stub: media_pb2_grpc.MediaServiceAsyncStub) -> None:
        answer = await stub.SetInstanceDraining(asked, timeout=CALL_SECONDS)
        told = instance_as_json(answer.instance)
        if as_json:
            click.echo(orjson.dumps(told).decode())
            return
        line = f"{told['url']}: {told['state']}"
        line += f"; {told['reason']}" if told["reason"] else ""
        click.echo(printable(line))

    return asyncio.run(_run(target, work))


async def _run(target: str | None, work: Work) -> int:
    target = target or wire(os.environ)["media"].target

    async def perform() -> None:
        async with open_channel(target) as channel:
            with remote_errors("media"):
                await work(media_pb2_grpc.MediaServiceStub(channel))

    with interrupts() as wishes:
        try:
            await wishes.unless_asked(perform())
        except Interrupted:
            return INTERRUPTED
        except (InvalidArgument, NotFound) as error:
            click.echo(f"artlab: {printable(str(error))}", err=True)
            return USAGE
        except ArtlabError as error:
            away = f"no media service answers at {target}"
            told = away if error.reason == "MEDIA_UNAVAILABLE" else str(error)
            click.echo(f"artlab: {printable(told)}", err=True)
            return FAILED
    return OK
