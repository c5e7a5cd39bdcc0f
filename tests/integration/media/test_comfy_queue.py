"""Reading the queue of a ComfyUI once for all who ask at about the same time."""

from __future__ import annotations

import asyncio

import pytest

from services.media.comfy.address import parse_address
from services.media.comfy.errors import Unanswered
from services.media.comfy.queue import Queue, QueueReader
from services.media.comfy.rest import Rest
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import until


def asked(fake: FakeComfyUI) -> int:
    return len([seen for seen in fake.requests if seen.path == "/queue"])


async def test_one_answer_serves_all_it_is_fresh_enough_for_and_nobody_else() -> None:
    async with fake_comfyui() as fake:
        rest = Rest(parse_address(fake.url))
        reader = QueueReader(rest)
        try:
            began = asyncio.get_running_loop().time()
            first = await reader.read()
            assert first == Queue((), ())
            assert await asyncio.gather(*(reader.read(began) for _ in range(20))) == [first] * 20
            assert asked(fake) == 1
            await reader.read(asyncio.get_running_loop().time())
            assert asked(fake) == 2
            await reader.read()
            assert asked(fake) == 3, "without a time nothing older than the question will do"
        finally:
            await reader.close()
            await rest.close()


async def test_who_gives_up_does_not_take_the_answer_from_others() -> None:
    async with fake_comfyui(script=Script(hold="before GET /queue")) as fake:
        rest = Rest(parse_address(fake.url))
        reader = QueueReader(rest)
        try:
            began = asyncio.get_running_loop().time()
            first = asyncio.create_task(reader.read(began))
            second = asyncio.create_task(reader.read(began))
            await until(lambda: fake.held == 1)
            first.cancel()
            fake.script.hold = ""
            assert await second == Queue((), ())
            assert asked(fake) == 1
        finally:
            await reader.close()
            await rest.close()


async def test_a_failure_is_told_to_all_who_wait_and_not_kept() -> None:
    async with fake_comfyui(script=Script(unwell=True)) as fake:
        rest = Rest(parse_address(fake.url))
        reader = QueueReader(rest)
        try:
            began = asyncio.get_running_loop().time()
            found = await asyncio.gather(
                *(reader.read(began) for _ in range(3)), return_exceptions=True
            )
            assert {type(error) for error in found} == {Unanswered}
            fake.script.unwell = False
            assert await reader.read(began) == Queue((), ())
        finally:
            await reader.close()
            await rest.close()


async def test_closing_ends_a_call_under_way() -> None:
    async with fake_comfyui(script=Script(hold="before GET /queue")) as fake:
        rest = Rest(parse_address(fake.url))
        reader = QueueReader(rest)
        waiting = asyncio.create_task(reader.read())
        await until(lambda: fake.held == 1)
        await reader.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await rest.close()
        fake.script.hold = ""
