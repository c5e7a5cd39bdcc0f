"""`artlab run` through cut connections and interrupts: one run, followed or cancelled."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.integration.cli.scripted_gateway import (
    RUN_ID,
    Cut,
    Hold,
    scripted,
)
from tests.integration.cli.steps import (
    FACTS,
    delta,
    run,
    succeeding,
)
from tests.support.command import artlab_process, line_with
from tests.support.eventually import eventually


async def test_a_broken_stream_is_taken_up_after_the_last_fact() -> None:
    steps = (*FACTS[:4], Cut(), FACTS[4], delta(0, "Wi"), Cut(), *FACTS[5:])
    async with scripted(succeeding(*steps)) as gateway:
        ended = await run(gateway)
    assert ended.code == 0
    assert gateway.resumed_after == [None, "4", "5"]
    for number in (1, 2, 4):
        assert sum(line.startswith(f"stage {number}") for line in ended.out.splitlines()) == 1


async def test_a_stream_that_ends_before_the_run_does_is_taken_up_again() -> None:
    steps = (*FACTS[:6], ("problem", {"reason": "DRAINING", "retryable": True}))
    gateway = succeeding(*steps)
    async with (
        scripted(gateway),
        artlab_process("run", "Blume", "--config", "dada", "--url", gateway.url) as process,
    ):
        async with asyncio.timeout(20):
            await eventually(lambda: len(gateway.resumed_after) > 1)
            gateway.steps = FACTS
            await process.communicate()
    assert gateway.resumed_after[:2] == [None, "6"]
    assert process.returncode == 0


async def test_a_run_that_can_no_longer_be_followed_ends_with_one() -> None:
    steps = (*FACTS[:3], ("problem", {"reason": "ENTITY_CORRUPT", "retryable": False}))
    async with scripted(succeeding(*steps)) as gateway:
        ended = await run(gateway)
    assert (ended.code, ended.err) == (1, "artlab: the run cannot be followed: ENTITY_CORRUPT\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_cancels_the_run(number: signal.Signals) -> None:
    gateway = succeeding(*FACTS[:5], Hold())
    async with (
        scripted(gateway),
        artlab_process("run", "Blume", "--config", "dada", "--url", gateway.url) as process,
    ):
        await line_with(process, "stage 2")
        process.send_signal(number)
        async with asyncio.timeout(20):
            out, _ = await process.communicate()
    assert gateway.cancelled.is_set()
    assert process.returncode == 130
    assert f"cancelling run {RUN_ID}" in out.decode()


async def test_a_second_interrupt_does_not_wait_for_the_gateway() -> None:
    gateway = succeeding(*FACTS[:5], Hold())
    gateway.hangs_on_cancel = True
    async with (
        scripted(gateway),
        artlab_process("run", "Blume", "--config", "dada", "--url", gateway.url) as process,
    ):
        await eventually(lambda: bool(gateway.resumed_after))
        process.send_signal(signal.SIGINT)
        await gateway.cancelled.wait()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(5):
            await process.communicate()
    assert process.returncode == 130


async def test_a_start_that_was_cut_off_is_repeated_as_the_same_run() -> None:
    gateway = succeeding()
    gateway.unanswered = 2
    async with scripted(gateway):
        assert (await run(gateway)).code == 0
    keys = [request["headers"]["Idempotency-Key"] for request in gateway.requests]
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_a_start_that_is_always_cut_off_ends_with_one() -> None:
    gateway = succeeding()
    gateway.unanswered = 99
    async with scripted(gateway):
        ended = await run(gateway)
    assert (ended.code, len(gateway.requests)) == (1, 3)
    assert "broke off before it answered" in ended.err


async def test_a_text_that_cannot_be_read_just_now_is_read_a_little_later() -> None:
    gateway = succeeding()
    gateway.unavailable = 2
    async with scripted(gateway):
        ended = await run(gateway, "--quiet")
    assert (ended.code, ended.out.splitlines()[0]) == (0, "Wiese Blume Wiese")
