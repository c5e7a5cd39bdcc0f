"""`artlab up`: the services on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from services.cli.domain.exit_codes import FAILED, INTERRUPTED, OK
from services.cli.domain.system import describe_system
from services.cli.fleet import Fleet, ServiceFailed
from services.cli.gateway_client import GatewayClient, GatewayError
from services.cli.interrupts import Interrupted, interrupts
from services.cli.log_files import LogsNotWritable
from services.cli.ports import PortsInUse, refuse_ports_in_use
from services.cli.replicas import (
    MAX_REPLICAS,
    NATS,
    QUEUE_VARIABLE,
    QUEUES,
    URL_VARIABLE,
    NatsMissing,
    NatsServer,
    find_nats,
    with_queue,
    with_replicas,
)
from services.cli.settings import DEFAULT_URL, CliSettings
from services.cli.supervisor import Supervisor
from services.cli.terminal import Terminal
from services.cli.wiring import ServiceSpec, wire
from services.kit.settings import load_settings

DEFAULT_ROOT = "pipeline_runs"


@click.command(short_help="Start all six services; Ctrl-C stops them.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port of the gateway. Default: ARTLAB_GATEWAY_PORT, or 17801.",
)
@click.option(
    "--logs",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the services' logs. Default: ARTLAB_CLI_LOGS, or .run/logs.",
)
@click.option(
    "--replicas",
    type=click.IntRange(1, MAX_REPLICAS),
    default=1,
    show_default=True,
    help="How many orchestrators drive runs; if one dies, another goes on.",
)
@click.option(
    "--queue",
    type=click.Choice(QUEUES),
    help="How they share runs: embedded, by the recorder, or nats, a server that is started too. "
    "Default: ARTLAB_ORCHESTRATOR_QUEUE, or embedded.",
)
def up(port: int | None, logs: Path | None, replicas: int, queue: str | None) -> None:
    """Start all services on this machine and keep them running until Ctrl-C.

    With several orchestrators the first listens at its usual port, the others at ports ten,
    twenty … higher. A NATS server of ours listens at ARTLAB_CLI_NATS_PORT, or 17807, on loopback,
    and keeps its files below the folder of the runs; where ARTLAB_ORCHESTRATOR_NATS_URL is set,
    that one is used.

    A service that dies is started again; one that dies more than 5 times in a minute ends
    everything. Ctrl-C stops all of them within 10 s, a second one kills them at once.

    Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 something could not run (the end of its log is
    shown), 130 killed by a second Ctrl-C.
    """
    settings = load_settings("cli", CliSettings)
    root = Path(os.environ.get("ARTLAB_RECORDER_ROOT", DEFAULT_ROOT)).absolute()
    specs = wire(os.environ, {"gateway": port} if port else None)
    try:
        specs = _scaled(specs, settings, replicas, queue, root)
    except NatsMissing as error:
        click.echo(f"artlab: {error}", err=True)
        raise SystemExit(FAILED) from None
    raise SystemExit(asyncio.run(_up(settings, specs, logs or Path(settings.logs), root)))


def _scaled(
    specs: dict[str, ServiceSpec],
    settings: CliSettings,
    replicas: int,
    queue: str | None,
    root: Path,
) -> dict[str, ServiceSpec]:
    if replicas > 1:
        specs = with_replicas(specs, replicas, os.environ)
    chosen = queue or os.environ.get(QUEUE_VARIABLE, "")
    nats = None
    if chosen == NATS and not os.environ.get(URL_VARIABLE):
        nats = NatsServer(find_nats(), settings.nats_port, root / ".nats")
    return with_queue(specs, chosen, nats) if chosen else specs


async def _up(settings: CliSettings, specs: dict[str, ServiceSpec], logs: Path, root: Path) -> int:
    console, began = Terminal(), time.monotonic()

    name_width = max(map(len, specs))

    def report(service: str, what: str) -> None:
        console.print(Text(f"  {service:<{name_width}} {what}"))

    try:
        refuse_ports_in_use(specs.values())
        with interrupts() as wishes:
            async with Fleet(specs, logs, report=report) as fleet:
                wishes.on_second(fleet.kill)
                try:
                    await wishes.unless_asked(fleet.start_all(settings.start_seconds))
                    seconds = time.monotonic() - began
                    await wishes.unless_asked(_welcome(console, specs, root, logs, seconds))
                    await wishes.unless_asked(Supervisor(fleet, settings.start_seconds).watch())
                except Interrupted:
                    console.print("stopping; Ctrl-C again kills everything at once")
            console.print("stopped")
            return INTERRUPTED if wishes.count > 1 else OK
    except (PortsInUse, LogsNotWritable, ServiceFailed) as error:
        click.echo(f"artlab: {error}", err=True)
        return FAILED


async def _welcome(
    console: Console, specs: Mapping[str, ServiceSpec], root: Path, logs: Path, seconds: float
) -> None:
    url = f"http://{specs['gateway'].target}"
    # After `make run` the command is in .venv/bin and on nobody's PATH.
    command = "artlab" if shutil.which("artlab") else sys.argv[0]
    lines = [f"Artlab is ready at {url} ({seconds:.1f} s)", *await _uses(url)]
    orchestrators = [name for name, spec in specs.items() if spec.kind == "orchestrator"]
    if len(orchestrators) > 1 or NATS in specs:
        by = f"NATS at {specs[NATS].target}" if NATS in specs else "the recorder"
        lines.append(f"runs are driven by {len(orchestrators)} orchestrators, shared out by {by}")
    lines += [
        f"runs are kept in {root}",
        f"logs: {logs}",
        f'try:  {command} run "Eine Blume auf der Wiese" --config dada'
        + ("" if url == DEFAULT_URL else f" --url {url}"),
        f"or:   curl {url}/api/schema/pipeline/execute -H 'Content-Type: application/json' "
        '-d \'{"schema": "dada", "input_text": "Eine Blume auf der Wiese"}\'',
        "Ctrl-C stops everything",
    ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


async def _uses(url: str) -> list[str]:
    try:
        async with GatewayClient(url) as client:
            return describe_system(await client.system())
    except GatewayError as error:
        return [f"what it uses is not known: {error}"]
