"""`make demo` hands over what was typed, whatever a shell or make would read into it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NOT_SET_UP = ["-o", ".venv/.installed"]


def _demo(tmp_path: Path, *variables: str) -> list[str]:
    return _made(tmp_path, "demo", *variables)


def _made(tmp_path: Path, goal: str, *variables: str) -> list[str]:
    """What `artlab` is called with by `make`."""
    command = tmp_path / "artlab"
    command.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    command.chmod(0o755)
    theirs = ("MAKE", "PROMPT", "CONFIG", "REPLICAS", "QUEUE")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    done = subprocess.run(
        ["make", "-s", *NOT_SET_UP, goal, f"BIN={tmp_path}", *variables],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.removesuffix("\0").split("\0")


@pytest.mark.parametrize(
    "prompt",
    [
        "Eine Blume auf der Wiese",
        "\"Anführung\" und 'einfache' – 🐉",
        "5 $ für $HOME und $(shell echo gehackt) und $$",
        "`id` $(id) ; # % \\ &",
        "--help",
        "zwei\nZeilen",
    ],
)
def test_demo_gets_the_prompt_as_it_was_typed(tmp_path: Path, prompt: str) -> None:
    arguments = _demo(tmp_path, f"PROMPT={prompt}", "CONFIG=bauhaus")
    assert arguments == ["demo", "--config", "bauhaus", "--", prompt]


def test_demo_without_variables_has_an_idea_of_its_own(tmp_path: Path) -> None:
    arguments = _demo(tmp_path)
    assert arguments == ["demo", "--config", "dada", "--", "Eine Blume auf der Wiese"]


def test_run_starts_six_services_and_more_when_asked(tmp_path: Path) -> None:
    assert _made(tmp_path, "run") == ["up"]
    more = _made(tmp_path, "run", "REPLICAS=2", "QUEUE=nats")
    assert more == ["up", "--replicas", "2", "--queue", "nats"]
