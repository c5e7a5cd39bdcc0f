"""The service without any model, through gRPC."""

from __future__ import annotations

import itertools

import pytest

from services.kit.text import MAX_TEXT_BYTES, MAX_TEXT_CHARACTERS
from tests.integration.interception.composition import FAST, RECIPES, heard, interception, request

WITHOUT_RULES = sorted(name for name, recipe in RECIPES.items() if not recipe.requires_context)
STRANGE = "{{7*7}} {% raw %} %s %(x)s {0.__class__} {a} {der a}"


@pytest.mark.parametrize("name", WITHOUT_RULES)
async def test_every_recipe_streams_its_text_and_ends_with_the_result(name: str) -> None:
    async with interception() as stub:
        answer = await heard(stub, request(name, "Eine Blume auf der Wiese"))
    assert "".join(answer.deltas) == answer.result.text
    assert answer.result.used.backend == "builtin"
    assert answer.result.used.model == ""
    assert answer.result.from_language == "de"
    assert getattr(answer.result, "pass") == 1
    assert answer.result.passes == RECIPES[name].passes
    assert answer.result.parameters["technique"] == RECIPES[name].writing.technique


async def test_the_same_seed_repeats_a_text_and_another_seed_changes_it() -> None:
    async with interception() as stub:
        first = await heard(stub, request("dada", "Ein Hund im Regen", seed=1))
        again = await heard(stub, request("dada", "Ein Hund im Regen", seed=1))
        other = await heard(stub, request("dada", "Ein Hund im Regen", seed=2))
    assert first.result.text == again.result.text
    assert first.result.text != other.result.text


async def test_telephone_makes_eight_passes_each_from_the_text_before() -> None:
    async with interception() as stub:
        texts = ["Eine Blume auf der Wiese"]
        for number in range(1, 9):
            answer = await heard(stub, request("stillepost", texts[-1], number=number))
            assert getattr(answer.result, "pass") == number
            assert answer.result.passes == 8
            # It mishears, it does not translate, and says so.
            assert answer.result.HasField("translated")
            assert not answer.result.translated
            texts.append(answer.result.text)
    assert all(one != other for one, other in itertools.pairwise(texts))
    assert texts[-1] != texts[0]


async def test_translation_without_a_model_leaves_the_text_and_says_so() -> None:
    async with interception() as stub:
        answer = await heard(stub, request("translation_en", "Ein Hund im Regen"))
    assert answer.result.text == "Ein Hund im Regen"
    assert answer.result.HasField("translated")
    assert not answer.result.translated
    assert (answer.result.from_language, answer.result.to_language) == ("de", "de")
    assert answer.result.used.task == "translation"


async def test_an_attitude_says_nothing_about_translation() -> None:
    async with interception() as stub:
        answer = await heard(stub, request("dada", "Ein Hund im Regen", execution_mode=FAST))
    assert not answer.result.HasField("translated")
    assert answer.result.used.task == "interception"


async def test_passthrough_keeps_every_character() -> None:
    text = (
        "  Zwei  Leerzeichen,\r\n\tTab, NFD a\u0308, \u202eumgekehrt\u202c, 🏳️‍🌈 " + STRANGE + " \n"
    )
    async with interception() as stub:
        answer = await heard(stub, request("passthrough", text))
    assert answer.result.text == text


@pytest.mark.parametrize("name", ["theopposite", "overdrive", "jugendsprache", "stillepost"])
async def test_braces_and_percent_signs_of_a_person_stay_literal(name: str) -> None:
    async with interception() as stub:
        answer = await heard(stub, request(name, "Der Hund sagt {{7*7}} %s {a} {der a}"))
    assert "{{7*7}} %s" in answer.result.text
    assert "49" not in answer.result.text


@pytest.mark.parametrize("name", WITHOUT_RULES)
async def test_the_longest_text_gives_a_text_within_the_limits(name: str) -> None:
    text = ("Der Hund trägt ein rotes Wort über die Wiese. " * 500)[:MAX_TEXT_CHARACTERS]
    async with interception() as stub:
        answer = await heard(stub, request(name, text))
    assert 0 < len(answer.result.text) <= MAX_TEXT_CHARACTERS
    assert len(answer.result.text.encode()) <= MAX_TEXT_BYTES


async def test_your_call_follows_the_rules_and_names_those_it_knew() -> None:
    async with interception() as stub:
        answer = await heard(
            stub,
            request("user_defined", "Ein Hund im Regen", context="nur Substantive, dann rückwärts"),
        )
    assert answer.result.text == "Regen Hund"
    assert answer.result.parameters["applied_rules"] == "only_nouns,backwards"


async def test_recipes_are_listed_by_name_with_what_a_client_needs() -> None:
    from artlab.common.v1 import common_pb2
    from artlab.interception.v1 import interception_pb2 as pb

    async with interception() as stub:
        answer = await stub.ListRecipes(pb.ListRecipesRequest(), timeout=5)
    by_name = {recipe.name: recipe for recipe in answer.recipes}
    assert list(by_name) == sorted(RECIPES)
    assert list(answer.writers) == ["builtin"]
    assert by_name["stillepost"].passes == 8
    assert by_name["image_comparison"].output_configs == [
        "sd35_large",
        "flux2",
        "builtin_image",
    ]
    assert by_name["dada"].default_output == common_pb2.MEDIA_KIND_IMAGE
    assert by_name["dada"].title["de"] == "Dada"
    assert by_name["user_defined"].accepts_context
    assert by_name["user_defined"].requires_context
    assert not by_name["passthrough"].translates_input
    assert by_name["passthrough"].minimum_age == 18


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ein Hund im Regen", "de"),
        ("A lonely robot in the rain", "en"),
        ("Un chien sous la pluie", "fr"),
        ("🌸🌸", "und"),
    ],
)
async def test_a_language_can_be_asked_for(text: str, language: str) -> None:
    from artlab.interception.v1 import interception_pb2 as pb

    async with interception() as stub:
        answer = await stub.DetectLanguage(pb.DetectLanguageRequest(text=text), timeout=10)
    assert answer.language == language


async def test_the_callers_language_counts_unless_the_text_is_clearly_in_another() -> None:
    async with interception() as stub:
        doubtful = await heard(stub, request("passthrough", "Kuno", language="de-AT"))
        clear = await heard(
            stub, request("passthrough", "A lonely robot in the rain", language="de")
        )
    assert doubtful.result.from_language == "de"
    assert clear.result.from_language == "en"
