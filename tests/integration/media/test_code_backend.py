"""Sketches by a language model: what is asked, what is taken, and every way it goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.kit.errors import ArtlabError
from services.media.backends.code.backend import CodeBackend, CodeModel
from services.media.backends.hosted.backend import Limits
from services.media.backends.hosted.patience import Patience
from services.media.domain.output_config import OutputConfig
from services.media.ports import RenderProgress
from tests.fakes.hosted.server import KEY
from tests.fakes.openai_server import Body, Drop, FakeOpenAI, Line, Never, Redirect, Say, Status
from tests.support.hosted import PROMPT, Pauses, account, ignore, make_job, read

SKETCH = (
    "function setup() {\n  createCanvas(99, 99);\n}\n\nfunction draw() {\n  circle(1, 2, 3);\n}"
)
HOSTILE = SKETCH.replace("circle(1, 2, 3)", "fetch('geheim')")
GOOD = Say("```javascript\n", SKETCH, "\n```")


def config(library: str = "p5js", **changes: Any) -> OutputConfig:
    values: dict[str, Any] = {
        "name": f"{library}_code",
        "kind": "code",
        "backend": "code",
        "title": {"en": "x", "de": "x"},
        "slots": {},
        "deadline_seconds": 20.0,
        "backend_options": {"library": library},
    }
    return OutputConfig(**(values | changes))


class World:
    """A model server and the backend that asks it."""

    def __init__(self, fake: FakeOpenAI, backend: CodeBackend, pauses: Pauses) -> None:
        self.fake, self.backend, self.pauses = fake, backend, pauses

    async def write(self, *script: Line, library: str = "p5js", **changes: Any) -> str:
        """The sketch that comes of these answers."""
        self.fake.script(*script)
        product = await self.backend.render(make_job(config(library), **changes), ignore)
        self.facts = dict(product.metadata)
        self.model = product.model
        return (await read(product)).decode()

    async def refused(self, *script: Line, **changes: Any) -> ArtlabError:
        """The error that comes of these answers."""
        with pytest.raises(ArtlabError) as caught:
            await self.write(*script, **changes)
        error = caught.value
        assert "geheim" not in f"{error} {error.metadata}"
        assert KEY not in f"{error} {error.metadata}"
        return error


@asynccontextmanager
async def opened(silence_seconds: float = 5.0, key: str = KEY) -> AsyncIterator[World]:
    pauses = Pauses()
    async with FakeOpenAI() as fake:
        limits = Limits(
            max_media_bytes=10**6,
            silence_seconds=silence_seconds,
            patience=Patience(sleep=pauses),
        )
        own = account(fake.base_url, key, key_optional=True)
        backend = CodeBackend(own, limits, CodeModel("codestral", 3000))
        try:
            yield World(fake, backend, pauses)
        finally:
            await backend.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


async def test_a_good_sketch_is_the_code_and_nothing_else(world: World) -> None:
    assert await world.write(GOOD) == SKETCH + "\n"
    assert world.facts == {"library": "p5js", "sketches": "1"}
    assert world.model == "fake-model"


async def test_the_model_is_told_the_rules_and_the_text_is_only_material(world: World) -> None:
    await world.write(GOOD)
    (asked,) = world.fake.requests
    assert asked.user == PROMPT
    assert PROMPT not in asked.system
    assert "p5.js" in asked.system
    assert "material" in asked.system
    assert asked.body["model"] == "codestral"
    assert asked.body["max_tokens"] == 3000
    assert 0 <= asked.body["seed"] < 2**31
    assert asked.headers["Authorization"] == f"Bearer {KEY}"


async def test_a_piece_of_music_is_asked_for_as_one(world: World) -> None:
    piece = "const a = new Tone.Synth().toDestination();\nTone.Transport.start();\n"
    assert await world.write(Say(f"```js\n{piece}```"), library="tonejs") == piece
    assert "Tone.js" in world.fake.requests[0].system


async def test_a_server_without_a_key_is_sent_none() -> None:
    async with opened(key="") as world:
        await world.write(GOOD)
        assert "Authorization" not in world.fake.requests[0].headers


@pytest.mark.parametrize(
    "answer",
    [
        SKETCH,
        f"Here it is:\n\n```js\n{SKETCH}\n```\nOr `circle(1)`:\n```js\ncircle(1)\n```",
        f"<think>fetch() would be nice\n```js\nfetch(1)\n```</think>\n```\n{SKETCH}\n```",
        f"I should not...</think>```javascript\n{SKETCH}\n```",
        f"```p5js\r\n{SKETCH}\r\n```<|im_end|>".replace("\n", "\r\n").replace("\r\r", "\r"),
    ],
)
async def test_the_code_is_found_in_whatever_stands_around_it(world: World, answer: str) -> None:
    assert (await world.write(Say(answer))).strip() == SKETCH


async def test_a_refused_sketch_is_asked_for_once_more_and_the_model_learns_why(
    world: World,
) -> None:
    assert await world.write(Say(f"```js\n{HOSTILE}\n```"), GOOD) == SKETCH + "\n"
    first, second = world.fake.requests
    assert world.facts["sketches"] == "2"
    assert world.facts["refused_first"] == "network_storage_devices"
    assert "network storage devices" in second.system
    assert "geheim" not in second.system
    assert first.body["seed"] != second.body["seed"]


async def test_twice_refused_it_is_an_error_with_the_kind_of_the_finding(world: World) -> None:
    error = await world.refused(Say(HOSTILE))
    assert error.reason == "CODE_NOT_ALLOWED"
    assert error.metadata == {"finding": "network_storage_devices", "line": "6"}
    assert len(world.fake.requests) == 2


def _stream(*deltas: dict[str, object], finish: str = "stop") -> Body:
    chunks = [
        {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
         "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]  # fmt: skip
    chunks.append({**chunks[0], "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return Body(f"{data}data: [DONE]\n\n".encode())


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("CODE_EMPTY", Say("")),
        ("CODE_EMPTY", Say(" \n ")),
        ("CODE_EMPTY", Say("```js\n\n```")),
        ("CODE_ONLY_THOUGHT", Say("<think>geheim</think>")),
        ("CODE_ONLY_THOUGHT", Say("<think>geheim and no end")),
        ("CODE_ONLY_THOUGHT", _stream({"reasoning_content": "geheim"})),
        ("CODE_ONLY_THOUGHT", _stream({"content": "", "reasoning": "geheim"})),
        ("CODE_TRUNCATED", Say(f"```js\n{SKETCH[:40]}", finish="length")),
        ("CODE_TRUNCATED", Say("", finish="length")),
        ("CODE_TRUNCATED", Say(f"```js\n{SKETCH[:40]}")),
        ("CODE_TRUNCATED", Say(*["x" * 1000] * 120)),
        ("CODE_NOT_ALLOWED", Say("Sorry, I can't write this.")),
        ("CODE_NOT_ALLOWED", Say("```html\n<script>draw()</script>\n```")),
        ("BACKEND_BLOCKED", Say("x", finish="content_filter")),
        ("BACKEND_BLOCKED", Say("x", refusal="no")),
        ("BACKEND_LOST", Say("x", finish=None)),
        ("BACKEND_LOST", Drop(("function ",))),
        ("BACKEND_NOT_AUTHORIZED", Status(401)),
        ("BACKEND_MODEL_MISSING", Status(404)),
        ("BACKEND_REJECTED", Status(400)),
        ("BACKEND_REJECTED", Redirect("http://127.0.0.1:9/")),
        ("BACKEND_PROTOCOL", Body(b"<html>", "text/html")),
        ("BACKEND_PROTOCOL", Body(b"data: {not json\n\n")),
        ("BACKEND_PROTOCOL", _stream({"content": 7})),
        ("BACKEND_PROTOCOL", _stream({"content": ["x"]})),
    ],
)
async def test_every_bad_answer_has_an_error_of_its_own(
    world: World, reason: str, line: Line
) -> None:
    error = await world.refused(line)
    assert error.reason == reason


async def test_an_overloaded_server_is_asked_again_when_it_wants(world: World) -> None:
    busy = Status(429, (("Retry-After", "7"),))
    assert await world.write(busy, Status(503), GOOD)
    assert len(world.fake.requests) == 3
    first, second = world.pauses.seconds
    assert 7 <= first <= 11
    assert 1 <= second < 3


async def test_a_server_that_stays_away_is_given_up(world: World) -> None:
    error = await world.refused(Status(503))
    assert error.reason == "BACKEND_UNAVAILABLE"
    assert len(world.fake.requests) == 4


@pytest.mark.parametrize("line", [Never(), Never(("function ",))])
async def test_a_silent_model_is_not_waited_for(line: Line) -> None:
    async with opened(silence_seconds=0.3) as world:
        error = await world.refused(line)
        assert error.reason == "BACKEND_TIMEOUT"


async def test_a_cancel_stops_the_model_at_once(world: World) -> None:
    world.fake.script(Never(("function ",)))
    begun = asyncio.Event()

    def report(progress: RenderProgress) -> None:
        if progress.fraction > 0:
            begun.set()

    work = asyncio.create_task(world.backend.render(make_job(config()), report))
    async with asyncio.timeout(5):
        await begun.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await world.fake.abandoned.wait()


async def test_the_deadline_of_the_config_holds(world: World) -> None:
    world.fake.script(Never())
    with pytest.raises(ArtlabError) as caught:
        await world.backend.render(make_job(config(deadline_seconds=0.3)), ignore)
    assert caught.value.reason == "DEADLINE"


async def test_progress_grows_with_the_text_and_is_never_done_before_it_is(world: World) -> None:
    seen: list[float] = []
    world.fake.script(Say("```js\n", *SKETCH.splitlines(keepends=True), "\n```"))
    await world.backend.render(make_job(config()), lambda p: seen.append(p.fraction))
    assert seen == sorted(seen)
    assert len(set(seen)) > 4
    assert seen[-1] < 1


async def test_other_kinds_are_not_written(world: World) -> None:
    reason = await world.backend.unavailable_reason(config(kind="image"))
    assert reason is not None
    assert "image" in reason
