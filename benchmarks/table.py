"""What every benchmark prints: a table for people, or JSON for programs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure and what it was measured against in the same run."""

    value: float
    unit: str
    against: str


def show(figures: dict[str, Figure]) -> None:
    """Print the figures, as JSON when the command line has --json."""
    if "--json" in sys.argv[1:]:
        print(json.dumps({name: asdict(figure) for name, figure in figures.items()}, indent=2))
        return
    width = max(len(name) for name in figures)
    for name, figure in figures.items():
        print(f"{name:{width}}  {figure.value:10.2f} {figure.unit:6}  {figure.against}")
