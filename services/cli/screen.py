"""Where a run is shown while it goes on, and the two screens that need no terminal."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.text import Text

from services.cli.domain.result import SeenEntity
from services.cli.domain.run_view import QUEUE, Event, OutputView, RunView
from services.cli.rows import LABEL_WIDTH, Row, entity_row, fact_row, progress_words, waiting_words

_PROGRESS_STEP = 0.25


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

    def paused(self) -> AbstractContextManager[object]:
        """Make room for a question: nothing is redrawn inside."""
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

    def paused(self) -> AbstractContextManager[object]:
        """Nothing is ever drawn."""
        return nullcontext()


class Lines:
    """Lines for a file or a pipe: one for each thing that happens, never wrapped."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rendered: dict[int, float] = {}
        self._told = 0, 0

    def __enter__(self) -> Lines:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def show(self, view: RunView, event: Event) -> None:
        """Print stages, output results and the coarse progress of a rendering."""
        if event.kind == "render_progress":
            self._coarse_progress(view.output(event.number("output_index")))
        elif event.kind in (QUEUE, "writing_position"):
            self._place(view)
        elif row := fact_row(view, event):
            self._print(row)

    def committed(self, entity: SeenEntity) -> None:
        """Print the entity, texts in full."""
        self._print(entity_row(entity))

    def note(self, text: str) -> None:
        """Print a line."""
        self._print(Row("", Text(text)))

    def paused(self) -> AbstractContextManager[object]:
        """Lines stay where they are."""
        return nullcontext()

    def _place(self, view: RunView) -> None:
        place = view.ahead, view.writing_position
        if any(place) and place != self._told:
            self._print(Row("", Text(waiting_words(view))))
        self._told = place

    def _coarse_progress(self, output: OutputView) -> None:
        if output.status != "running":
            return
        before = self._rendered.get(output.index)
        if before is None or output.fraction >= before + _PROGRESS_STEP:
            self._rendered[output.index] = output.fraction
            self._print(Row(f"output {output.index}", Text(progress_words(output))))

    def _print(self, row: Row) -> None:
        lines = row.content.plain.splitlines() or [""]
        if row.label:
            # The texts of a row begin below one another.
            lines = [f"  {row.label:<{LABEL_WIDTH - 2}} {lines[0]}", *lines[1:]]
            lines[1:] = [f"{'':<{LABEL_WIDTH + 1}}{line}".rstrip() for line in lines[1:]]
        for line in lines:
            self._console.print(Text(line), soft_wrap=True)
