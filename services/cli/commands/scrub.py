"""`artlab scrub`: is every run below a root what was recorded."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.domain.exit_codes import FAILED, INTERRUPTED, OK
from services.cli.domain.printable import printable
from services.cli.rows import format_size
from services.kit.settings import load_settings

if TYPE_CHECKING:
    from services.recorder.domain.scrub import Pace

TELL_SECONDS = 0.5
# For a file or a pipe, where every line stays.
TELL_SLOWLY_SECONDS = 10.0


@dataclass(slots=True)
class _Walk:
    """How far it is."""

    total: int
    runs: int = 0
    size_bytes: int = 0
    damaged: int = 0

    def line(self, seconds: float) -> str:
        rate = self.size_bytes / seconds if seconds else 0.0
        told = f"{self.runs} of {self.total} runs, {format_size(self.size_bytes)}"
        told += f", {format_size(round(rate))}/s"
        if self.runs:
            left = round(seconds / self.runs * (self.total - self.runs))
            told += f", {left // 60}:{left % 60:02} left"
        return told

    def summary(self) -> str:
        damage = f"{self.damaged} damaged" if self.damaged else "no damage"
        runs = "1 run" if self.total == 1 else f"{self.total} runs"
        if self.runs < self.total:
            return f"interrupted after {self.runs} of {runs}: {damage} so far"
        return f"{runs}, {format_size(self.size_bytes)}: {damage}"


class _Teller:
    """Shows on stderr how far it is; on a terminal, in one line that changes."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._began = self._told = time.monotonic()

    def tell(self, walk: _Walk) -> None:
        """Show it, if it is time again."""
        now = time.monotonic()
        if now < self._told + (TELL_SECONDS if self._is_terminal else TELL_SLOWLY_SECONDS):
            return
        self._told = now
        line = walk.line(now - self._began)
        click.echo(
            f"\r\x1b[K{line}" if self._is_terminal else line, err=True, nl=not self._is_terminal
        )

    def clear(self) -> None:
        """Make room for a line that stays."""
        if self._is_terminal:
            click.echo("\r\x1b[K", err=True, nl=False)


@click.command(short_help="Is every run below a folder what was recorded?")
@click.argument(
    "root",
    required=False,
    metavar="[ROOT]",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Read at most so many MB a second. Default: as fast as it goes.",
)
def scrub(root: Path | None, rate: float | None) -> None:
    """Check every run folder below ROOT (default: ARTLAB_RECORDER_ROOT) as `artlab verify` does.

    Needs no running service, and works beside one: what only looks wrong because a run is being
    written or deleted is not told. One line for each defect, then a summary.

    Exit codes: 0 no damage, 1 damage, 130 interrupted.
    """
    # Only here: the other commands start without the libraries of the services.
    from services.recorder.domain.scrub import Pace
    from services.recorder.scrub_root import run_folders
    from services.recorder.settings import RecorderSettings

    root = root or load_settings("recorder", RecorderSettings).root
    pace = Pace(rate * 1e6 if rate else math.inf, share=1.0)
    try:
        folders = run_folders(root)
    except OSError as error:
        click.echo(f"artlab: cannot read {root}: {error.strerror}", err=True)
        raise SystemExit(FAILED) from error
    walk, teller = _Walk(len(folders)), _Teller()
    code = OK
    try:
        for folder in folders:
            defects = _look_at(folder, pace, walk, teller)
            walk.runs += 1
            walk.damaged += bool(defects)
            for defect in defects:
                teller.clear()
                click.echo(printable(f"{folder}: {defect}"))
            teller.tell(walk)
    except KeyboardInterrupt:
        code = INTERRUPTED
    teller.clear()
    click.echo(f"{root}: {walk.summary()}")
    raise SystemExit(code or (FAILED if walk.damaged else OK))


def _look_at(folder: Path, pace: Pace, walk: _Walk, teller: _Teller) -> list[str]:
    from services.recorder.scrub_root import inspect_beside_a_writer

    inspection = inspect_beside_a_writer(folder)
    while True:
        began = time.monotonic()
        try:
            size = next(inspection)
        except StopIteration as end:
            found: list[str] = end.value
            return found
        walk.size_bytes += size
        teller.tell(walk)
        time.sleep(pace.rest_seconds(size, time.monotonic() - began))
