"""`artlab serve`: one service in this process."""

from __future__ import annotations

import os
import sys

import click

from services.cli.wiring import SERVICES


@click.command(short_help="Run one service in this process.")
@click.argument("service", type=click.Choice(SERVICES))
def serve(service: str) -> None:
    """Run one SERVICE in the foreground, as a container does.

    Its settings come from the environment, ARTLAB_<SERVICE>_<NAME>; its log goes to stderr.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-P", "-m", f"services.{service}"]
    os.execv(sys.executable, command)  # noqa: S606  # becomes the service, so signals reach it
