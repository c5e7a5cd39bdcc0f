"""Which of several writers makes a text, who waits for whom, and what the record says of it."""

from __future__ import annotations

import asyncio

import pytest

from artlab.interception.v1 import interception_pb2 as pb
from services.interception.domain.models import ModelRef, ModelTable, ProviderSpec
from services.interception.model_writer import RETRIES
from tests.fakes.ollama_chat import FakeOllamaChat
from tests.fakes.openai_server import Drop, FakeOpenAI, Line, Never, Say, Status
from tests.integration.interception.composition import (
    FAST,
    chat_server,
    heard,
    interception,
    request,
)
from tests.support.eventually import eventually
from tests.support.rpc import refused

TEXT = "Ein Hund im Regen"
BUILTIN = ModelRef("builtin")


def table_of(*refs: ModelRef) -> ModelTable:
    """The same chain for everything in both modes."""
    chains = ModelTable().with_provider(ProviderSpec("x", "openai", "http://x"), "y").tasks
    return ModelTable(tasks=dict.fromkeys(chains, refs))


FIRST, SECOND = ModelRef("first", "fake-model"), ModelRef("second", "fake-model")


@pytest.mark.parametrize(
    ("line", "reason", "asked"),
    [
        (Status(500), "LLM_UNAVAILABLE", RETRIES + 1),
        (Status(401), "LLM_NOT_AUTHORIZED", 1),
        (Status(404), "LLM_MODEL_NOT_FOUND", 1),
        (Status(429), "LLM_RATE_LIMITED", 1),
        (Say(""), "LLM_EMPTY_OUTPUT", 1),
        (Never(), "LLM_TIMEOUT", 1),
    ],
)
async def test_the_next_one_writes_when_one_cannot_and_the_record_says_so(
    line: Line, reason: str, asked: int
) -> None:
    async with FakeOpenAI() as one, FakeOpenAI() as other:
        servers = [
            chat_server(one.base_url, name="first", first_token_seconds=0.2),
            chat_server(other.base_url, name="second"),
        ]
        one.script(line)
        async with interception(*servers, table=table_of(FIRST, SECOND)) as stub:
            answer = await heard(stub, request("dada", TEXT))
    assert answer.result.used.backend == "second"
    assert answer.result.parameters["fallback_from"] == "first:fake-model"
    assert answer.result.parameters["fallback_reason"] == reason
    assert (len(one.requests), len(other.requests)) == (asked, 1)


async def test_the_built_in_writer_takes_over_only_where_the_chain_says_so() -> None:
    async with FakeOpenAI() as fake:
        server = chat_server(fake.base_url, name="first")
        fake.script(Status(401))
        async with interception(server, table=table_of(FIRST, BUILTIN)) as stub:
            answer = await heard(stub, request("dada", TEXT))
        async with interception(server, table=table_of(FIRST)) as stub:
            async with refused("FAILED_PRECONDITION", "LLM_NOT_AUTHORIZED"):
                await heard(stub, request("dada", TEXT))
    assert answer.result.used.backend == "builtin"
    assert answer.result.parameters["fallback_from"] == "first:fake-model"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (Say("I can't help with that."), "LLM_REFUSED"),
        (Drop(("Ein ",)), "LLM_UNAVAILABLE"),
    ],
    ids=["who declines is not gone round", "what was shown is not written anew"],
)  # fmt: skip
async def test_some_failures_go_no_further(line: Line, reason: str) -> None:
    async with FakeOpenAI() as one, FakeOpenAI() as other:
        servers = [
            chat_server(one.base_url, name="first"),
            chat_server(other.base_url, name="second"),
        ]
        one.script(line)
        async with interception(*servers, table=table_of(FIRST, SECOND, BUILTIN)) as stub:
            with pytest.raises(Exception, match=reason):
                await heard(stub, request("dada", TEXT))
    assert other.requests == []


async def test_one_without_its_key_is_passed_over_and_alone_an_error() -> None:
    async with FakeOpenAI() as one, FakeOpenAI() as other:
        keyless = chat_server(one.base_url, name="first", key_env="NO_SUCH_KEY")
        second = chat_server(other.base_url, name="second")
        async with interception(keyless, second, table=table_of(FIRST, SECOND)) as stub:
            answer = await heard(stub, request("dada", TEXT))
            found = await stub.ListProviders(pb.ListProvidersRequest(), timeout=5)
        async with interception(keyless, table=table_of(FIRST)) as stub:
            async with refused("FAILED_PRECONDITION", "LLM_NOT_AUTHORIZED"):
                await heard(stub, request("dada", TEXT))
    assert answer.result.used.backend == "second"
    assert answer.result.parameters["fallback_reason"] == "LLM_NOT_AUTHORIZED"
    assert found.providers[0].state == pb.PROVIDER_STATE_REFUSED
    assert found.providers[0].reason == "no key: NO_SUCH_KEY is not set"
    assert one.requests == []


async def test_in_eco_mode_one_that_is_elsewhere_is_passed_over() -> None:
    async with FakeOpenAI() as far, FakeOpenAI() as near:
        servers = [
            chat_server(far.base_url, name="first", remote=True),
            chat_server(near.base_url, name="second"),
        ]
        async with interception(*servers, table=table_of(FIRST, SECOND)) as stub:
            eco = await heard(stub, request("dada", TEXT))
            fast = await heard(stub, request("dada", TEXT, execution_mode=FAST))
    assert (eco.result.used.backend, fast.result.used.backend) == ("second", "first")
    assert eco.result.parameters["fallback_reason"] == "ECO"
    assert len(far.requests) == 1


async def test_who_waits_sees_the_place_and_turns_go_round_between_people() -> None:
    gate, order = asyncio.Event(), list[str]()
    async with FakeOpenAI() as fake:
        async with interception(chat_server(fake.base_url, concurrency=1)) as stub:
            fake.script(Say("Guten ", "Tag", gate=gate))

            async def ask(who: str, seed: int) -> list[int]:
                answer = await heard(stub, request("dada", TEXT, user_id=who, seed=seed))
                order.append(f"{who}{seed}")
                return answer.places

            calls = [asyncio.create_task(ask("anna", 1))]
            await eventually(lambda: fake.open_now == 1)
            for who, seed in (("anna", 2), ("anna", 3), ("ben", 4)):
                calls.append(asyncio.create_task(ask(who, seed)))
                await eventually(lambda: _waiting(stub, len(calls) - 1))
            gate.set()
            places = await asyncio.gather(*calls)
    assert order == ["anna1", "anna2", "ben4", "anna3"]
    assert places[0] == []
    assert [told[0] for told in places[1:]] == [1, 2, 2]


async def _waiting(stub: object, count: int) -> bool:
    answer = await stub.ListProviders(pb.ListProvidersRequest(), timeout=5)  # type: ignore[attr-defined]
    return bool(answer.providers[0].waiting == count)


WRONG = "The cat walks slowly through the garden and looks at the old house by the river."
RIGHT = "Le chien marche lentement sous la pluie et regarde la vieille maison près de la rivière."


async def test_a_translation_into_the_wrong_language_is_asked_for_once_more() -> None:
    async with FakeOpenAI() as fake, interception(chat_server(fake.base_url)) as stub:
        german = "Der Hund läuft langsam durch den Garten und sieht das alte Haus am Fluss."
        fake.script(Say(german[:30], german[30:]), Say(WRONG))
        answer = await heard(stub, request("translation_en", german, language="de"))
        assert "".join(answer.deltas) == answer.result.text == WRONG
        assert answer.result.translated
        assert "must be in English" in fake.requests[1].system or (
            "muss auf Englisch" in fake.requests[1].system
        )
        # Twice is enough: it is taken as it is, and said to be so.
        fake.script(Say(german))
        answer = await heard(stub, request("translation_en", german, language="de"))
    assert len(fake.requests) == 4
    assert not answer.result.translated
    assert answer.result.parameters["language_mismatch"] == "de"


async def test_an_attitude_in_another_language_is_recorded_and_not_asked_for_again() -> None:
    async with FakeOpenAI() as fake, interception(chat_server(fake.base_url)) as stub:
        fake.script(Say(WRONG))
        answer = await heard(stub, request("dada", TEXT, language="de"))
        fake.script(Say("Klack klack, der Hund, ein Trichter im Regen."))
        right = await heard(stub, request("dada", TEXT, language="de"))
    assert answer.result.parameters["language_mismatch"] == "en"
    assert "language_mismatch" not in right.result.parameters
    assert len(fake.requests) == 2


async def test_a_model_that_is_loading_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.interception.model_writer.LOADING_SECONDS", 0.01)
    loading = Status(503, body={"error": {"message": "Loading model", "code": 503}})
    async with FakeOpenAI() as fake, interception(chat_server(fake.base_url)) as stub:
        # More often than anything else is repeated.
        fake.script(*[loading] * (RETRIES + 3), Say("Guten Tag"))
        answer = await heard(stub, request("dada", TEXT))
    assert answer.result.text == "Guten Tag"
    assert answer.result.parameters["attempt"] == str(RETRIES + 4)


async def test_what_wraps_a_text_is_taken_off_and_told() -> None:
    async with FakeOllamaChat() as fake:
        async with interception(chat_server(fake.base_url, protocol="ollama")) as stub:
            fake.script(
                Say("Sure! Here is", " the rewritten prompt:\n\n", '"Ein Trichter', ' im Regen"')
            )
            answer = await heard(stub, request("dada", TEXT, execution_mode=FAST))
    assert answer.result.text == "Ein Trichter im Regen"
    assert "Sure" not in "".join(answer.deltas)
    assert answer.result.parameters["removed"] == "opening,quotes"
