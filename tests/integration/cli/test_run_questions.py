"""Runs that ask the person, wait in line, or go on from others: on a terminal, and without one."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.scripted_gateway import (
    RUN_ID,
    Ask,
    Hold,
    ScriptedGateway,
    Step,
    scripted,
)
from tests.integration.cli.steps import FACTS, SAFE, document, entity, run, state
from tests.integration.cli.test_screen import Terminal
from tests.support.command import Ended, artlab, environment
from tests.support.eventually import eventually

OTHER = "9d1c3ad7-6c5d-4c39-9f53-d52bd3f94d6b"


def question(**more: Any) -> bytes:
    asked = {"step": "look", "kind": "edit", "who": "person", "text": "Wiese Blume Wiese"}
    rest = {"output_index": 0, "deadline": "2026-11-20T18:00:00+00:00", "on_timeout": "reject"}
    return json.dumps({**asked, **rest, **more}).encode()


def decided(sequence: int, answers: int) -> Step:
    kind, data = entity(sequence, "decision", f"{sequence:02d}_decision.json")  # type: ignore[misc]
    return (kind, {**data, "metadata": {"question": str(answers)}})


# What comes behind the text: the question, its answer, and the rest.
ASKING: tuple[Step, ...] = (
    *FACTS[:6],
    entity(5, "question", "05_question.json"),
    Ask(),
    decided(6, answers=5),
    entity(7, "output_image", "07_output_image.png", 1_500_000, 1),
    state("succeeded"),
)


def asking(**more: Any) -> ScriptedGateway:
    said = b'{"question": 5, "decision": "approve", "by": "person"}'
    entities = {3: SAFE, 4: b"Wiese Blume Wiese", 5: question(**more), 6: said}
    return ScriptedGateway(ASKING, entities, document("succeeded"))


@asynccontextmanager
async def at_terminal(
    gateway: ScriptedGateway, *arguments: str, **settings: str
) -> AsyncIterator[tuple[Terminal, asyncio.subprocess.Process]]:
    terminal = Terminal()
    more = {"TERM": "xterm", "COLUMNS": "100", "LINES": "40", "EDITOR": "", "VISUAL": ""}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "run", "Blume", "--config", "dada", "--pause"),
        *("--url", gateway.url, *arguments),
        stdin=terminal.slave,
        stdout=terminal.slave,
        stderr=terminal.slave,
        env=environment(more | settings),
        start_new_session=True,
    )
    os.close(terminal.slave)
    try:
        yield terminal, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(terminal.master)


async def type_in(terminal: Terminal, after: str, text: str) -> None:
    await eventually(lambda: after in terminal.read(), what=after)
    os.write(terminal.master, f"{text}\n".encode())


async def test_the_person_is_asked_at_the_terminal_and_the_run_goes_on() -> None:
    async with scripted(asking()) as gateway, at_terminal(gateway, "--user", "anna") as found:
        terminal, process = found
        await eventually(lambda: "approve, edit or reject?" in terminal.read(), what="the question")
        assert "the run waits for you to look at the text it came to" in terminal.read()
        assert "without an answer by" in terminal.read()
        await type_in(terminal, "approve, edit or reject?", "hm")
        await type_in(terminal, "hm\r\napprove, edit or reject?", "a")
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        assert terminal.read().rstrip().endswith("succeeded")
    assert gateway.decisions == [{"question": 5, "decision": "approve", "user_id": "anna"}]
    assert gateway.requests[0]["body"]["pause_before_render"] is True


async def test_a_text_is_changed_on_one_line_where_there_is_no_editor() -> None:
    async with scripted(asking()) as gateway, at_terminal(gateway) as (terminal, process):
        await type_in(terminal, "approve, edit or reject?", "edit")
        await type_in(terminal, "the new text", "Eine Wiese ohne Blume")
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    said = {"question": 5, "decision": "edit", "text": "Eine Wiese ohne Blume"}
    assert gateway.decisions == [said]


async def test_a_text_is_changed_in_the_editor_and_refused_ones_are_asked_again(
    tmp_path: Path,
) -> None:
    editor = tmp_path / "my editor"
    editor.write_text('#!/bin/sh\nsed -i "s/Blume/Baum/" "$1"\n')
    editor.chmod(0o755)
    gateway = asking()
    gateway.decision_refusals = [(422, {"detail": "text: too long", "field": "text"})]
    async with (
        scripted(gateway),
        at_terminal(gateway, EDITOR=shlex.quote(str(editor))) as (terminal, process),
    ):
        await type_in(terminal, "approve, edit or reject?", "e")
        await type_in(terminal, "that was not taken: --text: too long", "e")
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    said = {"question": 5, "decision": "edit", "text": "Wiese Baum Wiese"}
    assert gateway.decisions == [said, said]


async def test_only_yes_or_no_is_asked_where_nothing_can_be_changed() -> None:
    gateway = asking(kind="approve", text="", sequence=4)
    async with scripted(gateway), at_terminal(gateway) as (terminal, process):
        await type_in(terminal, "approve or reject?", "e")
        assert f"{gateway.url}/api/pipeline/{RUN_ID}/entities/4" in terminal.read()
        await type_in(terminal, "e\r\napprove or reject?", "r")
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    assert gateway.decisions == [{"question": 5, "decision": "reject"}]


async def test_the_end_of_the_input_leaves_the_question_to_another_terminal() -> None:
    async with scripted(asking()) as gateway, at_terminal(gateway) as (terminal, process):
        await eventually(lambda: "approve, edit or reject?" in terminal.read())
        os.write(terminal.master, b"\x04")
        command = f"artlab decide {RUN_ID} 5 approve --url"
        await eventually(lambda: command in terminal.read(), what="how to answer")
        await eventually(lambda: "waiting for a person to answer question 5" in terminal.read())
        ended = await artlab("decide", RUN_ID, "5", "approve", "--url", gateway.url)
        assert (ended.code, ended.out) == (0, "approve counts; the run is running\n")
        async with asyncio.timeout(10):
            assert await process.wait() == 0


async def test_an_answer_from_elsewhere_takes_the_question_back() -> None:
    async with scripted(asking()) as gateway, at_terminal(gateway) as (terminal, process):
        await eventually(lambda: "approve, edit or reject?" in terminal.read())
        gateway.decided.set()
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        assert "approve by person" in terminal.read()
    assert gateway.decisions == []


async def test_ctrl_c_at_the_question_cancels_the_run() -> None:
    gateway = asking()
    async with scripted(gateway), at_terminal(gateway) as (terminal, process):
        await eventually(lambda: "approve, edit or reject?" in terminal.read())
        process.send_signal(2)
        async with asyncio.timeout(10):
            assert await process.wait() == 130
        assert gateway.cancelled.is_set()
        gateway.decided.set()


async def test_without_a_terminal_it_is_told_how_to_answer_and_the_run_is_followed() -> None:
    async def answer(gateway: ScriptedGateway) -> Ended:
        await eventually(lambda: bool(gateway.requests), what="the start of the run")
        return await artlab(
            *("decide", RUN_ID, "5", "edit", "--text", "Baum", "--user", "anna"),
            *("--url", gateway.url),
        )

    async with scripted(asking()) as gateway:
        ended, other = await asyncio.gather(
            run(gateway, "--pause", "--user", "anna"), answer(gateway)
        )
    assert other.code == 0, other
    assert ended.code == 0, ended
    lines = ended.err.splitlines()
    assert lines[0].startswith("artlab: question 5: the run waits for you")
    assert "Wiese Blume Wiese" in lines
    command = f"answer it with: artlab decide {RUN_ID} 5 approve --url {gateway.url} --user anna"
    assert lines[-1].startswith(command)
    assert 'edit --text "…"' in lines[-1]
    assert gateway.decisions == [
        {"question": 5, "decision": "edit", "text": "Baum", "user_id": "anna"}
    ]
    row = "question               5, for you: approve, edit or reject"
    assert row in [line.strip() for line in ended.out.splitlines()]


async def test_what_a_teacher_decides_is_not_asked_of_the_person() -> None:
    gateway = asking(who="teacher", kind="approve", text="", sequence=4)
    async with scripted(gateway), at_terminal(gateway) as (terminal, process):
        await eventually(lambda: "waits for a teacher" in terminal.read(), what="who is asked")
        gateway.decided.set()
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        assert "question 5, for a teacher: approve or reject" in " ".join(terminal.read().split())
        assert "reject?" not in terminal.read()


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [(409, "it has another answer", 1), (403, "a teacher decides this", 2), (404, "no such", 2)],
)
async def test_a_decision_that_is_refused_says_why(status: int, reason: str, code: int) -> None:
    gateway = ScriptedGateway(decision_refusals=[(status, {"detail": reason})])
    async with scripted(gateway):
        ended = await artlab("decide", RUN_ID, "5", "reject", "--url", gateway.url)
    assert (ended.code, ended.err) == (code, f"artlab: {reason}\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((RUN_ID, "5", "edit"), "edit needs --text"),
        ((RUN_ID, "5", "approve", "--text", "x"), "edit needs --text"),
        ((RUN_ID, "0", "approve"), "0 is not in the range"),
        ((RUN_ID, "5", "perhaps"), "perhaps"),
        (("x", "5", "approve"), "expected the id of a run"),
    ],
)
async def test_a_decision_that_is_none_is_a_wrong_request(
    arguments: tuple[str, ...], told: str
) -> None:
    ended = await artlab("decide", *arguments)
    assert ended.code == 2
    assert told in ended.err


async def test_a_run_in_line_tells_how_many_come_before_it() -> None:
    gateway = ScriptedGateway(
        (FACTS[0], Hold(), *FACTS[1:]), {3: SAFE, 4: b"x"}, document("succeeded")
    )
    gateway.place = {"position": 3, "estimated_wait_seconds": 19.6, "estimated_total_seconds": 30}
    async with scripted(gateway):
        following = asyncio.create_task(run(gateway))
        # It asks once a second.
        await asyncio.wait({following}, timeout=2.5)
        gateway.cancelled.set()
        ended = await following
    assert ended.code == 0, ended
    assert ended.out.splitlines().count("in the queue, 3 runs before it, about 20 s") == 1


async def test_every_option_of_a_run_is_sent_under_the_name_of_its_field() -> None:
    async with scripted(
        ScriptedGateway(FACTS, {3: SAFE, 4: b"x"}, document("succeeded"))
    ) as gateway:
        await run(
            gateway,
            *("--pipeline", "text_only", "--pause", "--user", "anna-7", "--reuse", "--quiet"),
            *("--set", "negative_prompt=fog = bad", "--set", "steps=30", "--set", "tiled=true"),
            *("--set", 'title="30"', "--set", "empty="),
        )
    assert gateway.requests[0]["body"] == {
        "schema": "dada",
        "input_text": "Eine Blume",
        "pipeline": "text_only",
        "pause_before_render": True,
        "user_id": "anna-7",
        "allow_reuse": True,
        "parameters": {
            "negative_prompt": "fog = bad",
            "steps": 30,
            "tiled": True,
            "title": "30",
            "empty": "",
        },
    }


async def test_a_rerun_sends_only_what_is_to_be_different() -> None:
    async with scripted(
        ScriptedGateway(FACTS, {3: SAFE, 4: b"x"}, document("succeeded"))
    ) as gateway:
        at = ("--url", gateway.url, "--quiet", "--rerun", OTHER)
        plain = await artlab("run", *at, "--from-stage", "2")
        idea = await artlab("run", "Ein Haus", *at, "--from-stage", "2")
        changed = await artlab("run", "Ein Baum", *at, "--from-stage", "3", "--output", "flux2")
    assert (plain.code, idea.code, changed.code) == (0, 0, 0)
    assert [request["body"] for request in gateway.requests] == [
        {"rerun": {"run_id": OTHER, "from_stage": 2}},
        {"rerun": {"run_id": OTHER, "from_stage": 2}, "input_text": "Ein Haus"},
        {
            "rerun": {"run_id": OTHER, "from_stage": 3, "text": "Ein Baum"},
            "output_configs": ["flux2"],
        },
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--config", "dada"), "Missing argument 'TEXT'"),
        (("Blume",), "Missing option '--config'"),
        (("--rerun", OTHER), "--rerun needs --from-stage"),
        (("Blume", "--config", "dada", "--from-stage", "3"), "--from-stage needs --rerun"),
        (("--rerun", "x", "--from-stage", "2"), "expected the id of a run"),
        (("Blume", "--config", "dada", "--reuse"), "--reuse needs --user"),
        (("Blume", "--config", "dada", "--user", "Anna"), "a pseudonym has small letters"),
        (("Blume", "--config", "dada", "--set", "x"), "expected NAME=VALUE"),
        (("Blume", "--config", "dada", "--set", "X=1"), "expected NAME=VALUE"),
    ],
)
async def test_a_request_that_cannot_be_meant_is_refused_before_it_is_sent(
    arguments: tuple[str, ...], told: str
) -> None:
    ended = await artlab("run", *arguments)
    assert ended.code == 2
    assert told in ended.err
