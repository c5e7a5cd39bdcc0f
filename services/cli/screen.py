"""How a run looks on a terminal while it goes on: lines that stay, and a part that lives.

With a terminal, the live part at the bottom shows the stage, the text as it grows and a bar for
each output; without one, lines are all there is.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from services.cli.domain.printable import printable
from services.cli.domain.result import SeenEntity, describe_error
from services.cli.domain.run_view import Event, OutputView, RunView

LABEL_WIDTH = 20
GROWING_LINES = 8
BAR_WIDTH = 32
_PLAIN_STEP = 0.25
_STATE_STYLES = {"succeeded": "green", "partial": "yellow", "blocked": "magenta"}
_CHECKS = frozenset({"safety", "safety_pre_output", "safety_output", "preview_safety"})


class Screen(Protocol):
    """Where the events of one run are shown. Use it as a context manager."""

    def __enter__(self) -> Screen:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave only what stays."""
        ...

    def show(self, view: RunView, event: Event) -> None:
        """Show an event that `view` has taken in."""
        ...

    def committed(self, entity: SeenEntity) -> None:
        """Show an entity that is durable now."""
        ...

    def note(self, text: str) -> None:
        """Show a line of our own."""
        ...


class Silent:
    """For --quiet and --json: nothing but the result is shown."""

    def __enter__(self) -> Silent:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def show(self, view: RunView, event: Event) -> None:
        """Show nothing."""

    def committed(self, entity: SeenEntity) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""


class Lines:
    """One line for each thing that happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rendered: dict[int, float] = {}

    def __enter__(self) -> Lines:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def show(self, view: RunView, event: Event) -> None:
        """Print stages, output results and the coarse progress of a rendering."""
        if event.kind == "render_progress":
            self._coarse_progress(view.output(event.number("output_index")))
        else:
            print_fact(self._console, view, event)

    def committed(self, entity: SeenEntity) -> None:
        """Print the entity, texts in full."""
        self._console.print(entity_line(entity))

    def note(self, text: str) -> None:
        """Print a line."""
        self._console.print(Text(text, style="dim"))

    def _coarse_progress(self, output: OutputView) -> None:
        before = self._rendered.get(output.index, -1.0)
        if before < 0 or output.fraction >= before + _PLAIN_STEP:
            self._rendered[output.index] = output.fraction
            self._console.print(_labelled(f"output {output.index}", Text(_progress_words(output))))


class LiveScreen:
    """Lines above, and below them what goes on just now, redrawn ten times a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._view = RunView()
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=10,
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
        print_fact(self._console, view, event)

    def committed(self, entity: SeenEntity) -> None:
        """Print the entity, texts in full."""
        self._console.print(entity_line(entity))

    def note(self, text: str) -> None:
        """Print a line above the live part."""
        self._console.print(Text(text, style="dim"))

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


def print_fact(console: Console, view: RunView, event: Event) -> None:
    """Print a stage, an output's end or the run's end as a line that stays."""
    if event.kind == "stage_started":
        where = f"  output {index}" if (index := event.number("output_index")) else ""
        line = f"stage {event.number('stage')}  {printable(event.text('step'))}{where}"
        console.print(Text(line, style="bold"))
    elif event.kind == "output_finished":
        output = view.output(event.number("index"))
        reason = describe_error(event.data.get("reason"))
        words = f"{output.config}  {output.status}" + (f"  {reason}" if reason else "")
        style = _STATE_STYLES.get(output.status, "red")
        console.print(_labelled(f"output {output.index}", Text(printable(words), style=style)))


def entity_line(entity: SeenEntity) -> RenderableType:
    """Return an entity as one labelled line: a text, a decision, or a file's name and size."""
    label = entity.type + (f" {entity.pass_number}" if entity.pass_number else "")
    document = entity.document
    if document is not None and entity.type in _CHECKS:
        return _labelled(label, _decision(document))
    if document is not None and entity.type == "error":
        what = f"{document.get('type', '')}: {document.get('message', '')}"
        return _labelled(label, Text(printable(what), style="red"))
    if entity.content:
        return _labelled(label, Text(printable(entity.content.strip())))
    size = f"{entity.filename}  {entity.media_type}  {format_size(entity.size_bytes)}"
    return _labelled(label, Text(printable(size)))


def format_size(size_bytes: int) -> str:
    """The size for people: ``812 B``, ``1.2 MiB``."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _decision(document: object) -> Text:
    facts = document if isinstance(document, dict) else {}
    if facts.get("decision") == "safe":
        return Text("safe", style="green")
    words = f"{facts.get('decision', '')} by {facts.get('rule', '')}"
    return Text(printable(words), style="magenta")


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
    row.add_row(bar, Text(_progress_words(output)))
    return _labelled(f"output {output.index}", row)


def _progress_words(output: OutputView) -> str:
    words = f"{output.fraction:4.0%} {printable(output.phase)}"
    if output.queue_position:
        words += f", {output.queue_position} ahead in the queue"
    if output.remaining_seconds is not None:
        words += f", about {output.remaining_seconds:.0f} s left"
    return words


def _position(view: RunView) -> Text:
    if not view.step:
        return Text("waiting for the run to begin", style="dim")
    count = f"  {view.completed}/{view.expected}" if view.expected else ""
    return Text(f"stage {view.stage}  {printable(view.step)}{count}", style="cyan")
