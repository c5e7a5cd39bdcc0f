"""The `artlab` command: its parts list. `__main__` imports it."""

from __future__ import annotations

import io
import sys

import click

from services.cli.commands.backends import backends
from services.cli.commands.check import check
from services.cli.commands.check_image import check_image
from services.cli.commands.decide import decide
from services.cli.commands.demo import demo
from services.cli.commands.evaluate import evaluate
from services.cli.commands.export import export
from services.cli.commands.import_legacy import import_legacy
from services.cli.commands.import_runs import import_runs
from services.cli.commands.pipeline import pipeline
from services.cli.commands.policy import policy
from services.cli.commands.run import run
from services.cli.commands.schema import schema
from services.cli.commands.scrub import scrub
from services.cli.commands.serve import serve
from services.cli.commands.up import up
from services.cli.commands.verify import verify
from services.cli.commands.warm import warm
from services.cli.commands.workflow import workflow
from services.cli.domain.exit_codes import INTERRUPTED
from services.kit.settings import SettingsError, exit_for_settings


class _Commands(click.Group):
    """A group that ends as sysexits.h asks when a setting is wrong, and quietly after Ctrl-C."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            exit_for_settings(error)
        except KeyboardInterrupt:
            # Between what a command itself catches.
            sys.exit(INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="artlab", message="artlab %(version)s")
def main() -> None:
    """Artlab: an idea becomes a recorded run.

    `artlab up` starts everything on this machine; `artlab run` sends a prompt through it;
    `artlab demo` does both and stops again.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows no umlauts shows question marks instead of a stack trace.
            stream.reconfigure(errors="replace")


_WORK = (up, run, decide, demo, serve)
_CHECKS = (check, check_image, evaluate, policy, pipeline, workflow, backends, warm, verify, schema)
_RUNS = (scrub, export, import_runs, import_legacy)

for command in (*_WORK, *_CHECKS, *_RUNS):
    main.add_command(command)
