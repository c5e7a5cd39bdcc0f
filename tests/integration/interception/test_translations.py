"""A translation is remembered for the length of a run, and never beyond it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from services.interception.domain.models import ModelRef
from services.interception.domain.recipe import Sampling
from services.interception.domain.writing import WritingTask
from services.interception.ports import Waiting, Written
from services.interception.translations import (
    KEPT_SECONDS,
    MAX_KEPT,
    Key,
    RememberingWriter,
    Translations,
)
from services.kit.clock import ManualClock
from services.kit.run_metadata import KEY, run_of
from tests.fakes.openai_server import FakeOpenAI, Say
from tests.integration.interception.composition import chat_server, heard, interception, request
from tests.integration.interception.test_chains import table_of

RUN, OTHER = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


async def test_the_same_run_is_not_made_to_wait_again_and_is_told_so() -> None:
    async with FakeOpenAI() as fake, interception(chat_server(fake.base_url)) as stub:
        fake.script(Say("A dog ", "in the rain"))
        asked = request("translation_en", "Ein Hund im Regen", language="de", user_id="anna")
        first = await heard(stub, asked, RUN)
        again = await heard(stub, asked, RUN)
    assert len(fake.requests) == 1
    assert "".join(again.deltas) == again.result.text == first.result.text == "A dog in the rain"
    assert again.result.parameters["cached"] == "true"
    assert "cached" not in first.result.parameters
    assert again.result.used == first.result.used
    assert again.result.translated


@pytest.mark.parametrize("run_id", [OTHER, "", "no run"])
async def test_nothing_is_shared_with_other_runs_or_without_one(run_id: str) -> None:
    async with FakeOpenAI() as fake, interception(chat_server(fake.base_url)) as stub:
        fake.script(Say("A dog in the rain"))
        asked = request("translation_en", "Ein Hund im Regen", language="de")
        await heard(stub, asked, RUN if run_id == OTHER else run_id)
        answer = await heard(stub, asked, run_id)
    assert len(fake.requests) == 2
    assert "cached" not in answer.result.parameters


async def test_another_person_or_another_text_is_another_translation() -> None:
    async with FakeOpenAI() as fake, interception(chat_server(fake.base_url)) as stub:
        fake.script(Say("A dog in the rain"))
        for text, who in (("Ein Hund", "anna"), ("Ein Hund", "ben"), ("Zwei Hunde", "ben")):
            await heard(stub, request("translation_en", text, language="de", user_id=who), RUN)
    assert len(fake.requests) == 3


async def test_another_recipe_that_translates_is_asked_for_its_own_words() -> None:
    ours = WritingTask(
        task="translation",
        name="translation_en",
        text="Ein Hund",
        context={"en": "Translate."},
        sampling=Sampling(0.0, 1.0, 100),
        from_language="de",
        to_language="en",
        seed=7,
        run_id=RUN,
    )
    asked: list[WritingTask] = []

    class Writes:
        name = "openai:m"

        async def write(self, task: WritingTask) -> AsyncGenerator[str | Waiting | Written, None]:
            asked.append(task)
            yield Written("A dog", "openai", "m")

    writer = RememberingWriter(Writes(), Translations(ManualClock()))
    others = replace(ours, name="verse_en"), replace(ours, context={"en": "Translate in verse."})
    for task in (ours, *others, ours, *others):
        assert [update async for update in writer.write(task)]
    assert asked == [ours, *others]


async def test_an_attitude_is_never_remembered_and_a_failure_is_not() -> None:
    async with FakeOpenAI() as fake, interception(chat_server(fake.base_url)) as stub:
        for _ in range(2):
            await heard(stub, request("dada", "Ein Hund im Regen"), RUN)
    assert len(fake.requests) == 2


async def test_who_wrote_is_part_of_what_is_remembered() -> None:
    async with FakeOpenAI() as fake:
        server = chat_server(fake.base_url)
        table = table_of(ModelRef("openai", "fake-model"), ModelRef("builtin"))
        async with interception(server, table=table) as stub:
            answer = await heard(
                stub, request("translation_en", "Ein Hund im Regen", language="de"), RUN
            )
    assert answer.result.used.backend == "openai"


def key(number: int) -> Key:
    return (RUN, "anna", f"text {number}", "de", "en", "openai:m")


WRITTEN = Written("a text", "openai", "m")


def test_memory_has_a_bound_and_forgets_what_was_used_longest_ago() -> None:
    kept = Translations(ManualClock())
    for number in range(MAX_KEPT):
        kept.keep(key(number), WRITTEN)
    assert kept.find(key(0)) == WRITTEN
    kept.keep(key(MAX_KEPT), WRITTEN)
    assert kept.find(key(0)) == WRITTEN
    assert kept.find(key(1)) is None


def test_memory_is_short() -> None:
    clock = ManualClock()
    kept = Translations(clock)
    kept.keep(key(1), WRITTEN)
    clock.advance(KEPT_SECONDS - 1)
    assert kept.find(key(1)) == WRITTEN
    clock.advance(2)
    assert kept.find(key(1)) is None


def test_a_run_is_told_by_metadata_in_its_canonical_form_only() -> None:
    assert run_of(((KEY, RUN),)) == RUN
    assert run_of(((KEY, "../x"), ("other", RUN))) == ""
    assert run_of(None) == ""
