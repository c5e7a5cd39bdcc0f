"""What a person chooses from."""

from __future__ import annotations

import pytest

from tests.integration.gateway.world import World, gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_recipes_come_in_the_order_they_are_shown(world: World) -> None:
    answer = await world.client.get("/api/configs")
    assert answer.status_code == 200
    first, second = answer.json()["recipes"]
    assert (first["name"], second["name"]) == ("first", "second")
    assert first["title"] == {"de": "Dada", "en": "Dada"}
    assert (first["default_output"], first["origin"], first["color"]) == (
        "image", "local", "#aa0000",
    )  # fmt: skip
    assert first["passes"] == [{"en": "Cut"}]
    # What a model is told is long, and told one by one.
    assert "context" not in first


async def test_one_recipe_says_what_it_tells_a_model(world: World) -> None:
    recipe = (await world.client.get("/api/configs/first")).json()
    assert recipe["context"] == {"de": "Schere und Zufall", "en": "Scissors and chance"}


@pytest.mark.parametrize("name", ["nobody", "Dada", "a.b", "%2e%2e", "x" * 65])
async def test_what_is_no_recipe_is_not_found(world: World, name: str) -> None:
    answer = await world.client.get(f"/api/configs/{name}")
    assert answer.status_code == 404
    assert answer.json()["reason"] == "CONFIG_NOT_FOUND"


async def test_who_is_away_is_named() -> None:
    async with gateway(away=("interception",)) as world:
        answer = await world.client.get("/api/configs")
        assert answer.status_code == 503
        assert answer.json()["reason"] == "INTERCEPTION_UNAVAILABLE"
