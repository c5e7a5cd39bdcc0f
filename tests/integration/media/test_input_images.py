"""Pictures people brought: from the record through the media service into a ComfyUI."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from artlab.media.v1 import media_pb2
from artlab.recorder.v1 import recorder_pb2, run_pb2
from services.kit.errors import ArtlabError
from services.kit.ids import EntityName
from services.media.translate import parse_generate
from tests.fakes.comfyui import Script, fake_comfyui
from tests.fakes.comfyui.jobs import config, connected, ignore, input_image, make_job, shipped
from tests.integration.media.world import CALL_SECONDS, World, media_beside, request
from tests.support.moving_files import film, image, sound
from tests.support.pictures import PNG, picture
from tests.support.rpc import refused

PICTURE = picture(700_000, 5)
SMALL = {"steps": "4"}


async def brought(world: World, run: str, data: bytes = PICTURE, kind: str = "input_image") -> str:
    """Record a picture that somebody brought; its name."""
    entity = run_pb2.Entity(type=kind, audience=run_pb2.AUDIENCE_STUDENT, stage=0)
    asked = recorder_pb2.RecordEntityRequest(
        upload=f"{run}/uploads/{kind.replace('_', '-')}", entity=entity, data=data
    )
    answer = await world.recorder.RecordEntity(asked, timeout=CALL_SECONDS)
    return answer.entity.name


def uploaded(root: Path) -> list[bytes]:
    """The pictures in a ComfyUI's input folder."""
    return [path.read_bytes() for path in (root / "input").glob("**/*") if path.is_file()]


async def test_a_picture_reaches_the_node_that_works_from_it(recorder_target: str) -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        configs = {"qwen_img2img": config("qwen_img2img")}
        async with media_beside(recorder_target, configs=configs, backend=backend) as world:
            for attempt in (1, 2):
                run = await world.run()
                made = await world.made(
                    f"{run}/uploads/output-1",
                    output_config="qwen_img2img",
                    parameters=SMALL,
                    input_images={"input_image": await brought(world, run)},
                )
                assert made.type == "output_image"
                # Sent twice it is one file: its name follows from its bytes.
                assert await asyncio.to_thread(uploaded, fake.root) == [PICTURE]
                name = fake.prompts[attempt - 1]["prompt"]["78"]["inputs"]["image"]
                assert (fake.root / "input" / name).is_file()


MADE: dict[str, tuple[str, Callable[[], bytes], dict[str, str]]] = {
    "image": ("made.png", lambda: image("PNG"), {"width": "64"}),
    "audio": ("made.flac", lambda: sound("flac", "flac"), {"channels": "2"}),
    "music": ("made.mp3", lambda: sound("mp3", "libmp3lame"), {"sample_rate": "48000"}),
    "video": ("made.mp4", film, {"frame_rate": "15", "duration_seconds": "2"}),
}


async def test_every_shipped_workflow_ends_in_a_recorded_output_of_its_kind(
    recorder_target: str,
) -> None:
    configs = {
        name: config(name)
        for name, found in shipped().configs.items()
        if found.backend == "comfyui"
    }
    script = Script()
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        async with media_beside(recorder_target, configs=configs, backend=backend) as world:
            for name, output in configs.items():
                file, make, facts = MADE[output.kind]
                script.output_file = fake.root / file
                await asyncio.to_thread(script.output_file.write_bytes, make())
                run = await world.run()
                images = {slot: await brought(world, run) for slot in output.image_slots}
                made = await world.made(
                    f"{run}/uploads/output-1", output_config=name, input_images=images
                )
                assert made.type == f"output_{output.kind}"
                assert facts.items() <= dict(made.metadata).items(), name
    assert len(configs) == 10


async def test_without_its_picture_or_with_another_it_is_refused(recorder_target: str) -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        configs = {name: config(name) for name in ("qwen_img2img", "sd35_large")}
        async with media_beside(recorder_target, configs=configs, backend=backend) as world:
            run, other = await world.run(), await world.run()
            name = await brought(world, run)
            text = await brought(world, run, b"eine Blume", "input")
            field = "input_images.input_image"
            cases: list[tuple[str, dict[str, str], str, str, str]] = [
                ("qwen_img2img", {}, "INVALID_ARGUMENT", "INPUT_IMAGE_REQUIRED", field),
                ("qwen_img2img", {"input_image": name, "mask": name}, "INVALID_ARGUMENT",
                 "UNKNOWN_PARAMETER", "input_images.mask"),
                ("sd35_large", {"input_image": name}, "INVALID_ARGUMENT",
                 "UNKNOWN_PARAMETER", field),
                ("qwen_img2img", {"input_image": "../etc"}, "INVALID_ARGUMENT",
                 "INVALID_NAME", field),
                ("qwen_img2img", {"input_image": await brought(world, other)},
                 "INVALID_ARGUMENT", "INPUT_IMAGE_UNFIT", field),
                ("qwen_img2img", {"input_image": text}, "INVALID_ARGUMENT",
                 "INPUT_IMAGE_UNFIT", field),
                ("qwen_img2img", {"input_image": f"{run}/entities/99"}, "INVALID_ARGUMENT",
                 "INPUT_IMAGE_UNFIT", field),
            ]  # fmt: skip
            for output, images, code, reason, path in cases:
                async with refused(code, reason, path):
                    await world.made(
                        f"{run}/uploads/output-1", output_config=output, input_images=images
                    )
            assert not fake.prompts
            assert not await asyncio.to_thread(uploaded, fake.root)


async def test_another_picture_makes_another_request(world: World) -> None:
    # Seen by its digest alone; a config that takes none refuses both before.
    upload = await world.upload()
    run = upload.partition("/uploads/")[0]
    one, other = (
        parse_generate(request(upload, input_images={"input_image": f"{run}/entities/{n}"}))
        for n in (1, 2)
    )
    assert one.digest() != other.digest()
    assert one.input_images["input_image"] == EntityName.parse(f"{run}/entities/1")
    plain = parse_generate(request(upload))
    assert parse_generate(request(upload, allow_reuse=True, user_id="p-1")).digest() == (
        plain.digest()
    )


@pytest.mark.parametrize("answers", [["cut"], ["503", "cut"]])
async def test_an_upload_that_is_cut_is_made_again(answers: list[str]) -> None:
    script = Script(upload_answers=deque(answers))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        job = make_job(config("qwen_img2img"), images={"input_image": input_image(PICTURE)})
        await backend.render(job, ignore)
        assert await asyncio.to_thread(uploaded, fake.root) == [PICTURE]


async def test_an_upload_that_is_refused_says_why_and_nothing_is_submitted() -> None:
    cases = [(["413"], "COMFY_TOO_LARGE"), (["400"], "COMFY_PROTOCOL"),
             (["500"] * 3, "COMFY_UNAVAILABLE")]  # fmt: skip
    for answers, reason in cases:
        script = Script(upload_answers=deque(answers))
        async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
            job = make_job(config("qwen_img2img"), images={"input_image": input_image()})
            with pytest.raises(ArtlabError) as caught:
                await backend.render(job, ignore)
            assert caught.value.reason == reason
            assert not fake.prompts


async def test_where_another_file_has_the_name_the_one_comfyui_gives_is_used() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        image = input_image(PICTURE)
        folder = fake.root / "input" / "artlab"
        await asyncio.to_thread(folder.mkdir, parents=True)
        taken = folder / f"{image.sha256[:32]}.png"
        await asyncio.to_thread(taken.write_bytes, PNG)
        await backend.render(
            make_job(config("qwen_img2img"), images={"input_image": image}), ignore
        )
        name = fake.prompts[0]["prompt"]["78"]["inputs"]["image"]
        assert name == f"artlab/{image.sha256[:32]} (1).png"
        assert await asyncio.to_thread((fake.root / "input" / name).read_bytes) == PICTURE


async def test_the_list_tells_which_slots_take_pictures_and_texts(recorder_target: str) -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        configs = {"wan22_i2v_video": config("wan22_i2v_video")}
        async with media_beside(recorder_target, configs=configs, backend=backend) as world:
            answer = await world.media.ListOutputConfigs(
                media_pb2.ListOutputConfigsRequest(), timeout=CALL_SECONDS
            )
    (found,) = answer.configs
    assert found.available
    assert list(found.input_image_slots) == ["input_image"]
    assert list(found.text_slots) == ["negative_prompt"]
    assert set(found.parameters) == {
        "negative_prompt", "width", "height", "frames", "fps", "sampler", "scheduler",
    }  # fmt: skip
