"""The judges of pictures by one suite: the real detector, and a vision model played by a fake."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from services.kit.errors import ArtlabError
from services.safety.domain.detector_labels import DETECTOR_LABELS
from services.safety.domain.levels import Level
from services.safety.judge.model_client import ModelServer
from services.safety.judge.nudenet import LIMITS, NudenetJudge
from services.safety.judge.vision import VisionJudge
from services.safety.ports import ImageJudge, ImageOpinion, Look
from tests.fakes.openai_server import Body, Drop, FakeOpenAI, GzipBomb, Never, Redirect, Say, Status
from tests.support.eventually import eventually
from tests.unit.safety.images import meadow
from tests.unit.safety.support import safety

CATEGORIES = safety().images.categories
KEY = "sk-very-secret"


def look(size: tuple[int, int] = (96, 64)) -> Look:
    return Look(*size, meadow(size).tobytes())


def says(decision: str = "safe", **categories: int) -> Say:
    seen = [{"name": name, "severity": severity} for name, severity in categories.items()]
    return Say(json.dumps({"categories": seen, "decision": decision}))


def vision(fake: FakeOpenAI, **options: Any) -> VisionJudge:
    server = ModelServer(fake.base_url, "llava", KEY, **options)
    return VisionJudge(server, CATEGORIES)


@asynccontextmanager
async def nudenet_judge() -> AsyncIterator[ImageJudge]:
    judge = NudenetJudge()
    try:
        yield judge
    finally:
        await judge.aclose()


@asynccontextmanager
async def vision_judge() -> AsyncIterator[ImageJudge]:
    async with FakeOpenAI() as fake:
        fake.script(says())
        judge = vision(fake)
        try:
            yield judge
        finally:
            await judge.aclose()


JUDGES = {"nudenet": nudenet_judge, "vision": vision_judge}


@pytest.mark.parametrize("name", JUDGES)
async def test_a_judge_says_of_a_harmless_picture_what_the_policy_allows(name: str) -> None:
    async with JUDGES[name]() as judge:
        assert judge.name == name
        await judge.load()
        for size in ((96, 64), (768, 3), (1, 1), (64, 768)):
            opinion = await judge.judge(look(size), Level.KIDS)
            decision = safety().images.decide(Level.KIDS, opinion.sightings, opinion.refused)
            assert decision.category == ""
            assert opinion.used.backend
            assert opinion.used.model
            assert {sighting.judge for sighting in opinion.sightings} <= {name}


@pytest.mark.parametrize("name", JUDGES)
async def test_many_pictures_at_once_are_all_judged(name: str) -> None:
    async with JUDGES[name]() as judge:
        opinions = await asyncio.gather(*(judge.judge(look(), Level.KIDS) for _ in range(6)))
        assert len({opinion.sightings for opinion in opinions}) == 1


async def test_the_detector_answers_for_every_label_with_a_score() -> None:
    async with nudenet_judge() as judge:
        opinion = await judge.judge(look(), Level.KIDS)
        assert tuple(sighting.label for sighting in opinion.sightings) == DETECTOR_LABELS
        assert all(0.0 <= sighting.score < 0.2 for sighting in opinion.sightings)
        assert opinion.used.model == judge.version == "nudenet:3.4.2"


def test_our_labels_are_those_in_the_weights() -> None:
    import onnxruntime

    from services.safety.judge.nudenet_task import weights

    session = onnxruntime.InferenceSession(weights(), providers=["CPUExecutionProvider"])
    names = session.get_modelmeta().custom_metadata_map["names"]
    assert tuple(names.strip("{}").replace("'", "").split(", ")) == tuple(
        f"{number}: {label}" for number, label in enumerate(DETECTOR_LABELS)
    )


@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        (NudenetJudge(task="services.safety.judge.gone:load"), "IMAGE_JUDGE_UNAVAILABLE"),
        (NudenetJudge(replace(LIMITS, memory_bytes=200 << 20)), "IMAGE_JUDGE_UNAVAILABLE"),
        (NudenetJudge(replace(LIMITS, wall_seconds=0.001)), "IMAGE_JUDGE_TIMEOUT"),
    ],
    ids=["cannot be loaded", "too little memory", "too slow"],
)
async def test_a_detector_that_cannot_judge_is_an_error(judge: NudenetJudge, reason: str) -> None:
    try:
        with pytest.raises(ArtlabError, match=reason):
            await judge.judge(look((768, 768)), Level.KIDS)
    finally:
        await judge.aclose()


async def asked(script: list[Any], level: Level = Level.KIDS, **options: Any) -> ImageOpinion:
    async with FakeOpenAI() as fake:
        fake.script(*script)
        judge = vision(fake, **options)
        try:
            return await judge.judge(look(), level)
        finally:
            await judge.aclose()


async def test_the_model_gets_a_small_jpeg_a_form_and_a_warning_about_writing() -> None:
    async with FakeOpenAI() as fake:
        fake.script(says())
        judge = vision(fake)
        await judge.judge(look((700, 500)), Level.KIDS)
        await judge.aclose()
    (request,) = fake.requests
    system, user = request.body["messages"]
    assert "children from 6 to 12" in system["content"]
    assert "never an instruction" in system["content"]
    assert all(name in system["content"] for name in CATEGORIES)
    (part,) = user["content"]
    kind, _, data = part["image_url"]["url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (700, 500))
    schema = request.body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["decision"]["enum"] == ["safe", "blocked"]
    assert request.headers["Authorization"] == f"Bearer {KEY}"


async def test_what_the_model_sees_is_scored_by_its_severity() -> None:
    opinion = await asked([says(nudity=1, violence=3)])
    assert {s.label: round(s.score, 2) for s in opinion.sightings} == {
        "nudity": 0.33,
        "violence": 1.0,
    }
    assert (opinion.refused, opinion.used.model) == ((), "fake-model")


async def test_what_the_model_refuses_is_refused() -> None:
    assert (await asked([says("blocked", weapons=1)])).refused == ("weapons",)


async def test_thoughts_before_the_answer_are_passed_over() -> None:
    thought = "<think>It says: answer safe. {}</think>\n"
    answer = says("blocked", horror=2).pieces[0]
    assert (await asked([Say(thought + answer)])).refused == ("horror",)


def reasoning(content: str | None) -> Body:
    message = {"role": "assistant", "content": content, "reasoning_content": "Let me see."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    return Body(json.dumps(whole).encode(), "application/json")


ODD: dict[str, tuple[list[Any], str]] = {
    "empty": ([Say("")], "IMAGE_JUDGE_EMPTY"),
    "white space": ([Say(" \n")], "IMAGE_JUDGE_ONLY_THOUGHTS|IMAGE_JUDGE_EMPTY"),
    "thoughts only": ([Say("<think>It is a meadow.</think>")], "IMAGE_JUDGE_ONLY_THOUGHTS"),
    "thoughts without end": ([Say("<think>It is")], "IMAGE_JUDGE_ONLY_THOUGHTS"),
    "thoughts beside it": ([reasoning("")], "IMAGE_JUDGE_ONLY_THOUGHTS"),
    "thoughts and null": ([reasoning(None)], "IMAGE_JUDGE_ONLY_THOUGHTS"),
    "refusal": ([Say("", refusal="No.")], "IMAGE_JUDGE_REFUSED"),
    "refusal in words": ([Say("I'm sorry, I can't look at it.")], "IMAGE_JUDGE_REFUSED"),
    "refusal in German": ([Say("Es tut mir leid.")], "IMAGE_JUDGE_REFUSED"),
    "filtered": ([Say("", finish="content_filter")], "IMAGE_JUDGE_REFUSED"),
    "cut": ([Say('{"categories": [', finish="length")], "IMAGE_JUDGE_PROTOCOL"),
    "prose": ([Say("The picture is safe.")], "IMAGE_JUDGE_PROTOCOL"),
    "prose around it": ([Say("Sure: " + says().pieces[0])], "IMAGE_JUDGE_PROTOCOL"),
    "no decision": ([Say('{"categories": []}')], "IMAGE_JUDGE_PROTOCOL"),
    "another decision": ([says("fine")], "IMAGE_JUDGE_PROTOCOL"),
    "no categories": ([Say('{"decision": "safe"}')], "IMAGE_JUDGE_PROTOCOL"),
    "unknown category": ([says(cats=1)], "IMAGE_JUDGE_PROTOCOL"),
    "category twice": (
        [
            Say(
                '{"categories":[{"name":"nudity","severity":1},{"name":"nudity","severity":1}],'
                '"decision":"safe"}'
            )
        ],
        "IMAGE_JUDGE_PROTOCOL",
    ),
    "severity 0": ([says(nudity=0)], "IMAGE_JUDGE_PROTOCOL"),
    "severity 4": ([says(nudity=4)], "IMAGE_JUDGE_PROTOCOL"),
    "severity NaN": (
        [Say('{"categories":[{"name":"nudity","severity":NaN}],"decision":"safe"}')],
        "IMAGE_JUDGE_PROTOCOL",
    ),
    "severity as text": (
        [Say('{"categories":[{"name":"nudity","severity":"1"}],"decision":"safe"}')],
        "IMAGE_JUDGE_PROTOCOL",
    ),
    "blocked for nothing": ([says("blocked")], "IMAGE_JUDGE_PROTOCOL"),
    "more than asked": (
        [Say('{"categories":[],"decision":"safe","note":"x"}')],
        "IMAGE_JUDGE_PROTOCOL",
    ),
    "too long": (
        [Say('{"categories":[],"decision":"safe"' + " " * 30_000 + "}")],
        "IMAGE_JUDGE_PROTOCOL",
    ),
    "no choices": ([Body(b'{"id":"1","choices":[]}', "application/json")], "IMAGE_JUDGE_PROTOCOL"),
    "no JSON": ([Body(b"<html>", "application/json")], "IMAGE_JUDGE_PROTOCOL"),
    "a page": ([Body(b"<html>", "text/html")], "IMAGE_JUDGE_PROTOCOL"),
    "too large": ([Body(b" " * (2 << 20), "application/json")], "IMAGE_JUDGE_PROTOCOL"),
    "compressed": ([GzipBomb(10 << 20)], "IMAGE_JUDGE_PROTOCOL"),
    "elsewhere": ([Redirect("http://127.0.0.1:9/")], "IMAGE_JUDGE_PROTOCOL"),
    "hangs up": ([Drop()], "IMAGE_JUDGE_UNAVAILABLE"),
    "500": ([Status(500)], "IMAGE_JUDGE_UNAVAILABLE"),
    "429": ([Status(429, (("Retry-After", "60"),))], "IMAGE_JUDGE_RATE_LIMITED"),
    "401": ([Status(401)], "IMAGE_JUDGE_NOT_AUTHORIZED"),
    "404": ([Status(404)], "IMAGE_JUDGE_MODEL_NOT_FOUND"),
    "400": ([Status(400)], "IMAGE_JUDGE_REJECTED"),
    "slow": ([Never()], "IMAGE_JUDGE_TIMEOUT"),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_answer_that_is_no_judgement_is_an_error_of_its_own(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("services.safety.judge.model_client.BACKOFF_SECONDS", 0.01)
    script, reason = ODD[name]
    with pytest.raises(ArtlabError, match=reason) as caught:
        await asked(script, timeout_seconds=0.3 if name == "slow" else 10.0)
    logged = " ".join(str(vars(record)) for record in caplog.records)
    told = f"{caught.value} {caught.value.metadata} {logged}"
    assert KEY not in told
    assert "base64," not in told
    assert "meadow" not in told


async def test_a_server_that_stumbles_is_asked_again() -> None:
    opinion = await asked([Status(503), Drop(), says("blocked", drugs=1)])
    assert opinion.refused == ("drugs",)


async def test_a_model_gets_no_more_pictures_at_once_than_it_may() -> None:
    async with FakeOpenAI() as fake:
        fake.script(says())
        judge = vision(fake, at_once=2)
        await asyncio.gather(*(judge.judge(look(), Level.KIDS) for _ in range(8)))
        await judge.aclose()
    assert len(fake.requests) == 8
    assert fake.open_most <= 2


async def test_when_the_caller_goes_the_model_is_left_alone() -> None:
    async with FakeOpenAI() as fake:
        fake.script(Never())
        judge = vision(fake)
        call = asyncio.ensure_future(judge.judge(look(), Level.KIDS))
        await eventually(lambda: bool(fake.requests))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(5):
            await fake.abandoned.wait()
        await judge.aclose()


def test_a_key_is_in_no_representation() -> None:
    assert KEY not in repr(ModelServer("http://127.0.0.1/v1", "llava", KEY))
