"""Tables of words and figures, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import JustifyMethod
from rich.table import Table as RichTable


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a title. `figures` says that all columns but the first are numbers."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: bool = True

    def rich(self) -> RichTable:
        """Return it for a terminal."""
        # Without its title, which would be broken to the width of a narrow table.
        gap = (0, 0) if self.figures else (0, 1)
        table = RichTable(box=SIMPLE_HEAD, show_edge=False, padding=gap)
        for number, name in enumerate(self.header):
            justify: JustifyMethod = "right" if number and self.figures else "left"
            # A word a line: eight columns of figures fit a terminal.
            shown = name.replace(" ", "\n") if self.figures else name
            table.add_column(shown, justify=justify, no_wrap=self.figures)
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Return it for a document."""
        lines = [f"**{self.title}**", ""]
        for cells in (self.header, ["---"] * len(self.header), *self.rows):
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)
