"""What every hosted backend does when its API does not do what it should."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from services.kit.errors import ArtlabError
from services.media.backends.hosted.patience import Patience
from tests.fakes.hosted.server import (
    KEY,
    Blocked,
    Cut,
    Drop,
    Empty,
    Garbage,
    Good,
    Never,
    Oversize,
    Status,
)
from tests.support.hosted import (
    CASES,
    HUGGINGFACE,
    KEY_SETTING,
    MAX_MEDIA_BYTES,
    OPENAI_IMAGES,
    OPENROUTER,
    PROMPT,
    SWARMUI,
    Case,
    Pauses,
    fails,
    ignore,
    make_job,
    read,
)

every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
# Those that cannot be asked what became of a request.
ONE_ANSWER = (OPENAI_IMAGES, OPENROUTER, HUGGINGFACE)
one_answer = pytest.mark.parametrize("case", ONE_ANSWER, ids=lambda case: case.name)


@every
@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_api_is_asked_again_when_it_says(case: Case, status: int) -> None:
    pauses = Pauses()
    async with case.fake() as fake:
        fake.script(Status(status, {"Retry-After": "7"}), Status(status), Good())
        async with case.connected(fake, patience=Patience(sleep=pauses)) as backend:
            product = await backend.render(make_job(case.config()), ignore)
            assert await read(product) == fake.picture
        assert fake.generated == 1
    # Never sooner than it says, and not all at the same moment.
    assert 7.0 <= pauses.seconds[0] <= 7.0 * 1.5
    assert 1.0 <= pauses.seconds[1] <= 1.0 * 1.5


@every
@pytest.mark.parametrize(
    ("status", "reason"), [(429, "BACKEND_BUSY"), (500, "BACKEND_UNAVAILABLE")]
)
async def test_asking_again_has_an_end(case: Case, status: int, reason: str) -> None:
    pauses = Pauses()
    async with case.fake() as fake:
        fake.script(Status(status))
        patience = Patience(attempts=3, sleep=pauses)
        async with case.connected(fake, patience=patience) as backend:
            await fails(backend, case.config(), reason)
    assert len(pauses.seconds) == 2


@every
async def test_an_api_that_wants_too_long_a_pause_is_not_waited_for(case: Case) -> None:
    pauses = Pauses()
    async with case.fake() as fake:
        fake.script(Status(429, {"Retry-After": "900"}))
        async with case.connected(fake, patience=Patience(sleep=pauses)) as backend:
            error = await fails(backend, case.config(), "BACKEND_BUSY")
            assert error.retry_after_seconds == 900
            assert await backend.unavailable_reason(case.config()) == error.message
    assert pauses.seconds == []


@every
@pytest.mark.parametrize(
    ("status", "reason", "says"),
    [
        (400, "BACKEND_REJECTED", "options and slots"),
        (422, "BACKEND_REJECTED", "options and slots"),
        (401, "BACKEND_NOT_AUTHORIZED", KEY_SETTING),
        (403, "BACKEND_NOT_AUTHORIZED", KEY_SETTING),
        (402, "BACKEND_NO_CREDIT", "no credit"),
        (404, "BACKEND_MODEL_MISSING", "options.model"),
        (307, "BACKEND_REJECTED", "elsewhere"),
    ],
)
async def test_a_refusal_is_not_asked_again_and_says_what_to_do(
    case: Case, status: int, reason: str, says: str
) -> None:
    pauses = Pauses()
    async with case.fake() as fake:
        fake.script(Status(status, {"Location": "http://127.0.0.1:1/"}))
        async with case.connected(fake, patience=Patience(sleep=pauses)) as backend:
            error = await fails(backend, case.config(), reason)
            assert says in error.message
            if reason in ("BACKEND_NOT_AUTHORIZED", "BACKEND_NO_CREDIT"):
                # Nobody else waits for the same answer.
                assert await backend.unavailable_reason(case.config()) == error.message
    assert pauses.seconds == []


@every
async def test_a_refused_key_is_told_with_its_variable(case: Case) -> None:
    async with case.fake() as fake:
        wrong = {"key": "sk-wrong-wrong"}
        async with case.connected(fake, account=wrong) as backend:
            if case is SWARMUI:
                # It is asked about its models before it is asked for a picture.
                told = await backend.unavailable_reason(case.config())
            else:
                told = (await fails(backend, case.config(), "BACKEND_NOT_AUTHORIZED")).message
            assert told is not None
            assert KEY_SETTING in told


@every
async def test_an_api_out_of_reach_is_unavailable(case: Case) -> None:
    pauses = Pauses()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        fake = case.fake()
        fake.port = free.getsockname()[1]
        async with case.connected(fake, patience=Patience(sleep=pauses)) as backend:
            if case is SWARMUI:
                reason = await backend.unavailable_reason(case.config())
                assert reason is not None
                assert fake.base_url in reason
                return
            await fails(backend, case.config(), "BACKEND_UNAVAILABLE")
    assert len(pauses.seconds) == Patience().attempts - 1


@one_answer
@pytest.mark.parametrize("line", [Drop(), Cut(), Status(504)], ids=["drop", "cut", "504"])
async def test_a_lost_answer_is_not_paid_for_twice(case: Case, line: Any) -> None:
    async with case.fake() as fake:
        fake.script(line, Good())
        async with case.connected(fake) as backend:
            await fails(backend, case.config(), "BACKEND_LOST")
        assert len(fake.requests) == 1


@one_answer
async def test_a_silent_api_is_given_up_and_not_asked_again(case: Case) -> None:
    async with case.fake() as fake:
        fake.script(Never(), Good())
        async with case.connected(fake, silence_seconds=0.2) as backend:
            await fails(backend, case.config(), "BACKEND_TIMEOUT")
        assert fake.generated == 1


@every
async def test_an_answer_without_an_end_is_refused_while_it_arrives(case: Case) -> None:
    size = 256 * 1024 * 1024
    async with case.fake() as fake:
        fake.script(Oversize(size))
        async with case.connected(fake) as backend:
            with pytest.raises(ArtlabError) as caught:
                await read(await backend.render(make_job(case.config()), ignore))
        assert caught.value.reason in ("MEDIA_TOO_LARGE", "BACKEND_PROTOCOL")
        assert fake.sent_bytes < size / 2


@one_answer
async def test_a_picture_that_is_too_large_is_refused(case: Case) -> None:
    async with case.fake() as fake:
        fake.picture = bytes(MAX_MEDIA_BYTES + 1)
        async with case.connected(fake) as backend:
            await fails(backend, case.config(), "MEDIA_TOO_LARGE")


@every
async def test_what_is_no_answer_of_this_api_is_told(case: Case) -> None:
    async with case.fake() as fake:
        fake.script(Garbage())
        async with case.connected(fake) as backend:
            await fails(backend, case.config(), "BACKEND_PROTOCOL")


@one_answer
async def test_an_answer_nested_beyond_reading_is_none(case: Case) -> None:
    async with case.fake() as fake:
        fake.script(Garbage(b"[" * 100_000, "application/json"))
        async with case.connected(fake) as backend:
            await fails(backend, case.config(), "BACKEND_PROTOCOL")


@every
async def test_a_date_of_no_calendar_says_nothing_about_when_to_come_back(case: Case) -> None:
    pauses = Pauses()
    async with case.fake() as fake:
        fake.script(Status(503, {"Retry-After": "Mon, 01 Jan 99999999999 00:00:00 GMT"}), Good())
        async with case.connected(fake, patience=Patience(sleep=pauses)) as backend:
            product = await backend.render(make_job(case.config()), ignore)
            assert await read(product) == fake.picture


@every
async def test_an_end_without_a_picture_is_told(case: Case) -> None:
    async with case.fake() as fake:
        fake.script(Empty())
        async with case.connected(fake) as backend:
            await fails(backend, case.config(), "BACKEND_NO_OUTPUT")


@pytest.mark.parametrize("case", CASES[1:], ids=lambda case: case.name)
async def test_what_the_apis_filter_stops_is_not_tried_again(case: Case) -> None:
    async with case.fake() as fake:
        fake.script(Blocked())
        async with case.connected(fake) as backend:
            await fails(backend, case.config(), "BACKEND_BLOCKED")
        assert len(fake.requests) == 1


@every
@pytest.mark.parametrize(
    "line",
    [Status(400), Status(500), Drop(), Garbage(), Blocked(), Empty()],
    ids=["400", "500", "drop", "garbage", "blocked", "empty"],
)
async def test_neither_key_nor_prompt_is_in_logs_or_errors(
    case: Case, line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with case.fake() as fake:
        fake.script(line)
        async with case.connected(fake) as backend:
            told = repr(backend.account)
            try:
                await read(await backend.render(make_job(case.config()), ignore))
            except ArtlabError as error:
                told += f"{error} {error.metadata} {error.message}"
    records = [f"{record.getMessage()} {record.__dict__}" for record in ours(caplog)]
    for text in (told, *records):
        assert KEY not in text
        assert PROMPT not in text


def ours(caplog: pytest.LogCaptureFixture) -> list[Any]:
    # The program logs from INFO; the libraries' DEBUG lines are never written.
    return [
        record
        for record in caplog.records
        if record.name.startswith("services") or record.levelname != "DEBUG"
    ]
