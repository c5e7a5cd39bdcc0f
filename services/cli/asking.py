"""Asks the person at the terminal what a run wants to know, or tells how to answer it later."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click

from services.cli.domain.printable import printable
from services.cli.domain.question import Question, decide_command

# As much as a terminal hands over as one line.
MAX_LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """approve, edit (with the text to go on with) or reject."""

    decision: str
    text: str = ""


class Asker(Protocol):
    """Who is asked."""

    @property
    def is_interactive(self) -> bool:
        """Whether the screen has to make room for it."""
        ...

    async def ask(self, run_id: str, question: Question, entity_url: str) -> Answer | None:
        """Return what the person says; None when nobody says anything here."""
        ...


class Later:
    """Where nobody sits at a terminal: says beside the output how the run can be answered.

    Args:
        options: of the command that answers: --url and --user, where they are not the usual ones.
    """

    is_interactive = False

    def __init__(self, **options: str) -> None:
        self._options = {f"--{name}": value for name, value in options.items()}

    async def ask(self, run_id: str, question: Question, entity_url: str) -> Answer | None:
        """Tell how to answer."""
        about = entity_url if question.about else question.text
        lines = [question.headline, about, question.otherwise]
        who = "a teacher answers it with" if question.for_teacher else "answer it with"
        lines.append(f"{who}: {decide_command(question, run_id, self._options)}")
        told = "\n".join(line for line in lines if line)
        click.echo(f"artlab: {printable(told)}", err=True)
        return None


class AtTerminal:
    """Shows the text and reads an answer from the terminal."""

    is_interactive = True

    def __init__(self, later: Later) -> None:
        self._later = later

    async def ask(self, run_id: str, question: Question, entity_url: str) -> Answer | None:
        """Ask until there is an answer; at the end of the input tell how to answer later."""
        if question.for_teacher:
            return await self._later.ask(run_id, question, entity_url)
        click.echo(f"\n{question.headline}")
        if question.otherwise:
            click.echo(question.otherwise)
        about = entity_url if question.about else _wrapped(printable(question.text))
        click.echo(f"\n{about}\n")
        words = question.choices
        while True:
            said = await self._line(f"{words}? ")
            if said is None:
                return await self._later.ask(run_id, question, entity_url)
            if said and ("approve".startswith(said) or said in ("y", "yes")):
                return Answer("approve")
            if said and ("reject".startswith(said) or said in ("n", "no")):
                return Answer("reject")
            if said and question.may_edit and "edit".startswith(said):
                text = await self._edited(question.text)
                if text:
                    return Answer("edit", text)

    async def _line(self, prompt: str) -> str | None:
        click.echo(prompt, nl=False)
        line = await _read_line(sys.stdin.fileno())
        return line if line is None else line.strip().lower()

    async def _edited(self, text: str) -> str:
        """The text as the person wants it; empty when it was left as it is."""
        if editor := os.environ.get("VISUAL") or os.environ.get("EDITOR"):
            return await _edited_by(editor, text)
        click.echo("the new text, on one line (set EDITOR to use an editor): ", nl=False)
        line = await _read_line(sys.stdin.fileno())
        return (line or "").strip()


def _wrapped(text: str) -> str:
    """The text with its lines broken between words, as wide as the terminal."""
    width = shutil.get_terminal_size().columns
    lines = (textwrap.wrap(line, width, break_on_hyphens=False) for line in text.splitlines())
    return "\n".join("\n".join(line) for line in lines)


async def _edited_by(editor: str, text: str) -> str:
    with tempfile.TemporaryDirectory(prefix="artlab-edit-") as folder:
        path = _written(Path(folder, "text.txt"), text)
        try:
            process = await asyncio.create_subprocess_exec(*shlex.split(editor), str(path))
        except (OSError, ValueError) as error:
            click.echo(f"the editor cannot be started: {error}", err=True)
            return ""
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        edited = _read(path)
    return edited.strip() if code == 0 and edited != text else ""


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").removesuffix("\n")


async def _read_line(descriptor: int) -> str | None:
    """Read one line of a terminal; None at the end of the input. May be cancelled at any time.

    Not in a thread: one that waits for a line would keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        if found.done():
            return
        try:
            found.set_result(os.read(descriptor, MAX_LINE_BYTES))
        except OSError:
            # The terminal is gone.
            found.set_result(b"")

    loop.add_reader(descriptor, read)
    try:
        data = await found
    finally:
        loop.remove_reader(descriptor)
    return data.decode("utf-8", "replace") if data else None
