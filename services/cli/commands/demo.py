"""`artlab demo`: everything started, one prompt run, everything stopped."""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from rich.text import Text

from services.cli.commands.run import perform
from services.cli.commands.run_options import RunOptions, run_options
from services.cli.commands.up import DEFAULT_ROOT
from services.cli.domain.exit_codes import FAILED, INTERRUPTED
from services.cli.domain.result import RunResult
from services.cli.fleet import Fleet, ServiceFailed
from services.cli.interrupts import Interrupted, interrupts
from services.cli.ports import PortsInUse, free_ports
from services.cli.report import print_tree
from services.cli.settings import CliSettings
from services.cli.terminal import Terminal
from services.cli.wiring import SERVICES, wire
from services.kit.settings import load_settings


@click.command(short_help="Start, run one idea, show its folder, stop.")
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the run. Default: ARTLAB_RECORDER_ROOT, or pipeline_runs.",
)
@run_options
def demo(options: RunOptions, root: Path | None) -> None:
    """Start all services on free ports, run TEXT, show the run folder, stop everything.

    With --pause it asks at the terminal; while a demo waits for an answer, `artlab decide` needs
    its --url.

    The last line is run_folder=<path>. Exit codes are those of `artlab run`.
    """
    settings = load_settings("cli", CliSettings)
    chosen = (root or Path(os.environ.get("ARTLAB_RECORDER_ROOT", DEFAULT_ROOT))).absolute()
    raise SystemExit(asyncio.run(_demo(settings, options, chosen)))


async def _demo(settings: CliSettings, options: RunOptions, root: Path) -> int:
    environ = {**os.environ, "ARTLAB_RECORDER_ROOT": str(root)}
    quiet = options.quiet or options.as_json
    console = Terminal()
    with interrupts() as wishes, tempfile.TemporaryDirectory(prefix="artlab-demo-") as logs:
        try:
            specs = wire(environ, free_ports(SERVICES))
            async with Fleet(specs, Path(logs)) as fleet:
                wishes.on_second(fleet.kill)
                if not quiet:
                    console.print(Text("starting six services on free ports", style="dim"))
                await wishes.unless_asked(fleet.start_all(settings.start_seconds))
                url = f"http://{specs['gateway'].target}"
                present = partial(_with_files, root=root)
                result, code = await perform(options, url, wishes, present)
        except Interrupted:
            return INTERRUPTED
        except (PortsInUse, ServiceFailed) as error:
            click.echo(f"artlab: {error}", err=True)
            return FAILED
    if result is not None:
        # The last line is what a script reads.
        folder = root / result.run_id
        if not quiet:
            console.print()
            print_tree(console, folder)
        click.echo(f"run_folder={folder}")
    return code


def _with_files(result: RunResult, root: Path) -> RunResult:
    # The gateway is gone when somebody opens the address; the file stays.
    folder = root / result.run_id
    outputs = []
    for output in result.outputs:
        files = tuple(replace(file, url=(folder / file.filename).as_uri()) for file in output.files)
        outputs.append(replace(output, url=files[0].url if files else "", files=files))
    return replace(result, outputs=tuple(outputs))
