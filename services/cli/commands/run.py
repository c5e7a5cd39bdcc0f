"""`artlab run`: one prompt through the pipeline of a running Artlab."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import click
import orjson
from rich.console import Console

from services.cli.asking import Asker, AtTerminal, Later
from services.cli.commands.option_types import url_option
from services.cli.commands.run_options import RunOptions, run_options
from services.cli.domain.exit_codes import FAILED, INTERRUPTED, USAGE, exit_code_of
from services.cli.domain.result import RunResult
from services.cli.follow import run_to_the_end
from services.cli.gateway_client import GatewayClient, GatewayError, GatewayRefused
from services.cli.interrupts import Interrupted, Interrupts, interrupts
from services.cli.live_screen import LiveScreen
from services.cli.report import print_quiet, print_result, why_not
from services.cli.screen import Lines, Screen, Silent
from services.cli.settings import DEFAULT_URL, CliSettings
from services.cli.terminal import Terminal
from services.kit.settings import load_settings


@click.command(short_help="Send an idea to a running Artlab and watch.")
@url_option
@run_options
def run(options: RunOptions, url: str | None) -> None:
    """Run TEXT through a recipe and follow it; "-" reads the text from stdin.

    A run that asks you something (--pause) asks here: approve, edit or reject. Where nobody sits at
    a terminal, stderr tells how to answer with `artlab decide`, and the run is followed meanwhile.

    Exit codes: 0 something was made (a partial run says what was not), 3 a safety check said no,
    1 it failed, was cancelled, or nobody answered, 2 the request was wrong, 130 you interrupted
    it (the run is cancelled).
    """
    settings = load_settings("cli", CliSettings)
    raise SystemExit(asyncio.run(_run(options, url or settings.url)))


async def _run(options: RunOptions, url: str) -> int:
    with interrupts() as wishes:
        task = asyncio.current_task()
        assert task is not None
        # For whoever does not want to wait until the gateway has stopped the run.
        wishes.on_second(task.cancel)
        try:
            _, code = await perform(options, url, wishes)
        except (Interrupted, asyncio.CancelledError):
            return INTERRUPTED
    return code


async def perform(
    options: RunOptions,
    url: str,
    wishes: Interrupts,
    present: Callable[[RunResult], RunResult] = lambda result: result,
) -> tuple[RunResult | None, int]:
    """Run, show and print the result; return it with the exit code.

    `present` may change how the result is told. Raises Interrupted once the run is cancelled
    because somebody asked to stop.
    """
    console = Terminal()
    try:
        async with GatewayClient(url) as client:
            result = await run_to_the_end(
                client,
                options.request,
                choose_screen(options, console),
                wishes,
                options.images,
                choose_asker(options, console, url),
            )
    except GatewayError as error:
        click.echo(f"artlab: {error}", err=True)
        wrong = isinstance(error, GatewayRefused) and error.request_is_wrong
        return None, USAGE if wrong else FAILED
    result = present(result)
    if options.as_json:
        click.echo(orjson.dumps(result.as_json()).decode())
    elif options.quiet:
        print_quiet(console, result)
        if why := why_not(result):
            click.echo(f"artlab: {why}", err=True)
    else:
        print_result(console, result)
    return result, exit_code_of(result.status)


def choose_screen(options: RunOptions, console: Console) -> Screen:
    """A live view on a terminal, lines elsewhere, nothing where only the result is wanted."""
    if options.as_json or options.quiet:
        return Silent()
    return LiveScreen(console) if console.is_terminal else Lines(console)


def choose_asker(options: RunOptions, console: Console, url: str) -> Asker:
    """Ask at the terminal where somebody sits and looks; elsewhere say how to answer."""
    user_id = str(options.request.get("user_id", ""))
    later = Later(url="" if url == DEFAULT_URL else url, user=user_id)
    if options.as_json or options.quiet or not console.is_terminal or not sys.stdin.isatty():
        return later
    return AtTerminal(later)
