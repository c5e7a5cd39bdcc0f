"""The end of a run on the terminal: texts, outputs, reasons."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from services.cli.domain.printable import printable
from services.cli.domain.result import OutputResult, RunResult
from services.cli.rows import format_size

_STYLES = {"succeeded": "bold green", "partial": "bold yellow", "blocked": "bold magenta"}
MAX_TREE_ENTRIES = 300


def print_result(console: Console, result: RunResult) -> None:
    """Print the final text, every output with its url or reason, and why a run was blocked."""
    console.print()
    if result.final_output:
        # Words are kept whole on a terminal; a file gets the lines as they are.
        text = Text(printable(result.final_output.strip()))
        console.print(text, soft_wrap=not console.is_terminal)
        console.print()
    for output in result.outputs:
        console.print(_output_line(output), soft_wrap=True)
        for file in output.files[1:]:
            console.print(Text(f"  {file.media_type}  {file.url}"), soft_wrap=True)
    for block in result.blocks:
        console.print(Text(f"blocked at stage {block.stage} by {block.rule}", style="magenta"))
        if block.explanation:
            console.print(Text(f"  {printable(block.explanation)}"), soft_wrap=True)
        if block.suggestion:
            console.print(Text(f"  {printable(block.suggestion)}"), soft_wrap=True)
        if block.alternative:
            console.print(Text(f"  try: {printable(block.alternative)}"), soft_wrap=True)
    line = Text(result.status, style=_STYLES.get(result.status, "bold red"))
    if why := _why(result):
        line.append(f": {why}", style="default not bold")
    console.print(line, soft_wrap=True)


def print_quiet(console: Console, result: RunResult) -> None:
    """Print what was made and nothing else: the text, then one url a line."""
    if result.final_output:
        console.print(Text(printable(result.final_output.strip())), soft_wrap=True)
    for output in result.outputs:
        for file in output.files:
            console.print(Text(file.url), soft_wrap=True)


def why_not(result: RunResult) -> str:
    """Return why not everything was made, in one line; empty when it was.

    A block gives its explanation, in the person's language where there are words for it.
    """
    if result.status == "succeeded":
        return ""
    block = next(iter(result.blocks), None)
    why = printable(block.explanation or block.rule) if block else _why(result)
    return f"{result.status}: {why}" if why else result.status


def _why(result: RunResult) -> str:
    if result.status == "partial":
        made = sum(output.status == "succeeded" for output in result.outputs)
        return f"{made} of {len(result.outputs)} outputs were made"
    return printable(result.error) if not result.blocks else ""


def print_tree(console: Console, folder: Path) -> None:
    """Print the files of a run folder with their sizes, by name."""
    console.print(Text(f"{folder}/"), soft_wrap=True)
    paths = sorted(folder.iterdir())[:MAX_TREE_ENTRIES] if folder.is_dir() else []
    for number, path in enumerate(paths, start=1):
        branch = "└──" if number == len(paths) else "├──"
        size = format_size(path.stat().st_size)
        console.print(Text(f"{branch} {printable(path.name)}  {size}"), soft_wrap=True)


def _output_line(output: OutputResult) -> Text:
    line = Text(f"output {output.index}  {printable(output.config)}  ")
    line.append(output.status, style=_STYLES.get(output.status, "bold red"))
    for part in (output.media_type, printable(output.reason), output.url):
        if part:
            line.append(f"  {part}")
    return line
