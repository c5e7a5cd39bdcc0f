"""What every benchmark prints: a table for people, Markdown for the README, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured figure and what it was measured against in the same run."""

    value: float
    unit: str
    against: str


def show(figures: dict[str, Figure]) -> None:
    """Print the figures; as JSON or Markdown when the command line has --json or --markdown."""
    if "--json" in sys.argv[1:]:
        print(json.dumps({name: asdict(figure) for name, figure in figures.items()}, indent=2))
    elif "--markdown" in sys.argv[1:]:
        print(f"{machine()}\n\n| Figure | Value | Against |\n| --- | --- | --- |")
        for name, figure in figures.items():
            print(f"| `{name}` | {figure.value:.2f} {figure.unit} | {figure.against} |")
    else:
        width = max(len(name) for name in figures)
        print(machine())
        for name, figure in figures.items():
            print(f"{name:{width}}  {figure.value:10.2f} {figure.unit:6}  {figure.against}")


def machine() -> str:
    """The machine in one line: processor, cores, kernel, Python, day, load."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in cpuinfo if "model name" in line), "?")
    return (
        f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
