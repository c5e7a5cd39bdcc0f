"""A run on a terminal: lines that stay, and below them what goes on just now.

The live part shows the stage, the text as it grows and a bar for each output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from services.cli.domain.printable import printable
from services.cli.domain.result import SeenEntity
from services.cli.domain.run_view import Event, OutputView, RunView
from services.cli.rows import (
    LABEL_WIDTH,
    Row,
    entity_row,
    fact_row,
    progress_words,
    waiting_words,
)

REFRESH_PER_SECOND = 10
GROWING_LINES = 8
BAR_WIDTH = 32


class LiveScreen:
    """Redraws the live part ten times a second; prints above it what stays."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._view = RunView()
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=REFRESH_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> LiveScreen:
        """Begin to draw."""
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the live part away; the lines stay."""
        self._live.__exit__(kind, error, trace)

    def show(self, view: RunView, event: Event) -> None:
        """Remember the state to draw; print what stays."""
        self._view = view
        if row := fact_row(view, event):
            self._console.print(_laid_out(row))

    def committed(self, entity: SeenEntity) -> None:
        """Print the entity, texts in full."""
        self._console.print(_laid_out(entity_row(entity)))

    def note(self, text: str) -> None:
        """Print a line above the live part."""
        self._console.print(Text(text, style="dim"))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the live part away inside; what is printed stays."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def _render(self) -> RenderableType:
        view = self._view
        parts: list[RenderableType] = []
        if view.growing.text:
            parts.append(_growing(view))
        parts += [
            _bar(output)
            for output in view.outputs.values()
            if output.status == "running" and output.phase
        ]
        self._spinner.update(text=_position(view))
        return Group(*parts, self._spinner)


def _laid_out(row: Row) -> RenderableType:
    return _labelled(row.label, row.content) if row.label else row.content


def _labelled(label: str, content: RenderableType) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_column(width=LABEL_WIDTH, no_wrap=True, style="dim")
    row.add_column(overflow="fold", ratio=1)
    row.add_row(f"  {label}", content)
    return row


def _growing(view: RunView) -> Table:
    label = view.growing_type + (f" {view.growing_pass}" if view.growing_pass else "")
    lines = printable(view.growing.text).splitlines()[-GROWING_LINES:]
    more = " …" if view.growing.gap else "▌"
    return _labelled(label, Text("\n".join(lines) + more, style="italic"))


def _bar(output: OutputView) -> Table:
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=1.0, completed=output.fraction, width=BAR_WIDTH)
    row.add_row(bar, Text(progress_words(output)))
    return _labelled(f"output {output.index}", row)


def _position(view: RunView) -> Text:
    if waiting := waiting_words(view):
        return Text(waiting, style="dim" if not view.open_questions else "cyan")
    count = f"  {view.completed}/{view.expected}" if view.expected else ""
    return Text(f"stage {view.stage}  {printable(view.step)}{count}", style="cyan")
