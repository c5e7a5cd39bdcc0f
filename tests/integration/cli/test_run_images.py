"""`artlab run --image`: pictures are brought in their order, and a run is not left waiting."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli.scripted_gateway import ScriptedGateway, scripted
from tests.integration.cli.steps import BLOCKED, FACTS, document, entity, run, state, succeeding


async def test_pictures_are_brought_in_their_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jpg", tmp_path / "b.png"
    first.write_bytes(b"first")
    second.write_bytes(b"second" * 100_000)
    async with scripted(succeeding()) as gateway:
        ended = await run(gateway, "--image", str(first), "--image", str(second))
    assert (ended.code, ended.err) == (0, "")
    assert gateway.requests[0]["body"]["input_images"] == 2
    assert gateway.pictures == {"1": b"first", "2": b"second" * 100_000}


async def test_a_picture_is_brought_again_while_there_is_no_room_for_it(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"first")
    gateway = succeeding()
    gateway.busy = 2
    async with scripted(gateway):
        ended = await run(gateway, "--image", str(picture))
    assert (ended.code, gateway.busy) == (0, -1)


async def test_a_file_that_is_no_picture_ends_the_run_it_was_for(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_bytes(b"Dear")
    refusal = 422, {"title": "x", "detail": "this is no picture", "reason": "MEDIA_MALFORMED"}
    async with scripted(ScriptedGateway(picture_refusal=refusal)) as gateway:
        ended = await run(gateway, "--image", str(letter))
        assert gateway.cancelled.is_set()
    assert ended.code == 2
    assert "this is no picture" in ended.err


async def test_a_picture_a_check_refused_is_told_as_a_block(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"first")
    facts = (FACTS[0], entity(3, "explanation", "03_explanation.json"), state("blocked"))
    gateway = ScriptedGateway(facts, {3: BLOCKED}, document("blocked"), picture_status="blocked")
    async with scripted(gateway):
        ended = await run(gateway, "--image", str(picture), "--image", str(picture))
    assert ended.code == 3
    assert "Das ist zu gewaltsam." in ended.out
    assert list(gateway.pictures) == ["1"]


async def test_pictures_are_looked_at_before_anything_is_started(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"first")
    async with scripted(succeeding()) as gateway:
        missing = await run(gateway, "--image", str(tmp_path / "none.jpg"))
        many = await run(gateway, *["--image", str(picture)] * 5)
    assert (missing.code, many.code) == (2, 2)
    assert "at most 4 pictures" in many.err
    assert gateway.requests == []


async def test_every_file_of_an_output_is_named() -> None:
    more = entity(7, "output_image", "07_output_image.png", 1_500_000, 1)
    async with scripted(succeeding(*FACTS[:8], more, *FACTS[8:])) as gateway:
        ended = await run(gateway)
        quiet = await run(gateway, "--quiet")
    assert "/entities/6" in ended.out
    assert "/entities/7" in ended.out
    assert [line[-11:] for line in quiet.out.splitlines()[1:]] == ["/entities/6", "/entities/7"]
