"""`artlab warm`: load the language models before the first person needs them."""

from __future__ import annotations

import asyncio
import os
import re

import click

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2, interception_pb2_grpc
from services.cli.domain.exit_codes import FAILED, INTERRUPTED, OK
from services.cli.domain.printable import printable
from services.cli.interrupts import Interrupted, interrupts
from services.cli.wiring import wire
from services.kit.channel import open_channel
from services.kit.enums import value_of, word_of
from services.kit.errors import ArtlabError
from services.kit.status import remote_errors

# Fetching gigabytes takes its time; the service itself ends a warm-up earlier.
WARM_SECONDS = 5 * 3600.0
_TARGET = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,200}:[0-9]{1,5}", re.ASCII)
_WORDS = {
    "model_missing": "missing",
    "refused": "not allowed",
    "unreachable": "not reachable",
    "unknown": "not known",
}


def _parse_target(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and _TARGET.fullmatch(value) is None:
        raise click.BadParameter("expected an address such as 127.0.0.1:17804")
    return value


@click.command(short_help="Load the language models before they are needed.")
@click.option(
    "--mode",
    type=click.Choice(("eco", "fast")),
    help="Only the models of this mode. Default: those of both.",
)
@click.option("--fetch", is_flag=True, help="Fetch what is missing, where a server can (Ollama).")
@click.option(
    "--interception",
    "target",
    metavar="HOST:PORT",
    callback=_parse_target,
    help="The interception service. Default: the one at ARTLAB_INTERCEPTION_PORT here.",
)
def warm(mode: str | None, fetch: bool, target: str | None) -> None:
    """Load every model of configs/models.yaml, and tell how far each is, a line at a time.

    A server of one's own is asked for one word; nothing is asked of one that costs money but
    whether it knows the model.

    Exit codes: 0 every model is ready, 1 one is not or the service does not answer, 130
    interrupted.
    """
    raise SystemExit(asyncio.run(_run(target, mode, fetch)))


async def _run(target: str | None, mode: str | None, fetch: bool) -> int:
    target = target or wire(os.environ)["interception"].target
    with interrupts() as wishes:
        try:
            states = await wishes.unless_asked(_warm(target, mode, fetch))
        except Interrupted:
            return INTERRUPTED
        except ArtlabError as error:
            away = f"no interception service answers at {target}"
            told = away if error.reason == "INTERCEPTION_UNAVAILABLE" else str(error)
            click.echo(f"artlab: {printable(told)}", err=True)
            return FAILED
    if not states:
        click.echo("no model is configured; the built-in writer needs none (configs/models.yaml)")
    return OK if all(state == "ready" for state in states.values()) else FAILED


async def _warm(target: str, mode: str | None, fetch: bool) -> dict[str, str]:
    """Print a line for every change; return the last state of each model."""
    request = interception_pb2.WarmUpRequest(
        execution_mode=value_of(common_pb2.ExecutionMode, mode or ""), fetch=fetch
    )
    states: dict[str, str] = {}
    last = ""
    async with open_channel(target) as channel:
        stub = interception_pb2_grpc.InterceptionServiceStub(channel)
        with remote_errors("interception"):
            async for update in stub.WarmUp(request, timeout=WARM_SECONDS):
                name = f"{update.provider}/{update.model}"
                states[name] = word_of(interception_pb2.ProviderState, update.state)
                line = _line(name, states[name], update)
                if line != last:
                    click.echo(printable(line))
                last = line
    return states


def _line(name: str, state: str, update: interception_pb2.WarmUpResponse) -> str:
    line = f"{name}: {_WORDS.get(state, state)}"
    if update.HasField("progress"):
        line += f" {update.progress:.0%}"
    if update.detail:
        line += f" ({update.detail})"
    if state == "model_missing":
        line += "; `artlab warm --fetch` fetches it where the server is Ollama's own"
    return line
