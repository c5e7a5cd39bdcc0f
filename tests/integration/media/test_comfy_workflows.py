"""Shipped workflows at an instance: which run, which do not and why, and what is submitted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.kit.catalogue import CONFIGS
from services.kit.errors import FailedPrecondition
from services.media.catalogue import load_output_catalogue
from tests.fakes.comfyui import fake_comfyui
from tests.fakes.comfyui.jobs import config, connected, ignore, input_image, make_job, read
from tests.fakes.comfyui.nodes import MODELS, node_table

SHIPPED = load_output_catalogue(CONFIGS).configs
COMFY = sorted(name for name, found in SHIPPED.items() if found.backend == "comfyui")
FROM_PICTURES = [name for name in COMFY if SHIPPED[name].image_slots]
LIGHTNING = "Qwen-Image-Lightning-8steps-V1.0.safetensors"


def small(name: str) -> dict[str, Any]:
    """Values of a config, made cheap."""
    sizes = {"width": 256, "height": 256, "steps": 4}
    return config(name).values({key: sizes[key] for key in sizes if key in config(name).slots})


@pytest.mark.parametrize("name", COMFY)
async def test_a_shipped_workflow_is_available_and_accepted(name: str) -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        assert await backend.unavailable_reason(config(name)) is None
        images = {slot: input_image() for slot in config(name).image_slots}
        job = make_job(config(name), values=small(name), images=images)
        product = await backend.render(job, ignore)
        assert product.model.endswith(".safetensors")
        assert len(fake.prompts) == 1


def test_img2img_and_image_to_video_need_a_picture() -> None:
    assert FROM_PICTURES == ["qwen_img2img", "wan22_i2v_video"]


async def test_every_missing_model_is_named() -> None:
    models = {**MODELS, "vae_name": ["pixel_space"], "unet_name": []}
    async with fake_comfyui(nodes=node_table(models)) as fake, connected(fake.url) as backend:
        reason = await backend.unavailable_reason(config("wan22_video"))
        assert reason == (
            "models wan2.2_ti2v_5B_fp16.safetensors, wan2.2_vae.safetensors are missing "
            f"on {fake.url}"
        )


async def test_every_missing_node_is_named() -> None:
    nodes = node_table()
    del nodes["LTXVScheduler"], nodes["SaveVideo"]
    async with fake_comfyui(nodes=nodes) as fake, connected(fake.url) as backend:
        reason = await backend.unavailable_reason(config("ltx_video"))
        assert reason == f"nodes LTXVScheduler, SaveVideo are missing on {fake.url}"


async def test_an_instance_whose_nodes_take_other_inputs_is_told_before_anybody_waits() -> None:
    nodes = node_table()
    # As a later version of ComfyUI has it.
    branch = {"key": "mp4", "inputs": {"required": {"codec": ["COMBO", {"options": ["h264"]}]}}}
    nodes["SaveVideo"]["input"]["required"]["format"] = [
        "COMFY_DYNAMICCOMBO_V3",
        {"options": [branch]},
    ]
    async with fake_comfyui(nodes=nodes) as fake, connected(fake.url) as backend:
        reason = await backend.unavailable_reason(config("wan22_video"))
        assert reason == (
            f"58.inputs.format.codec of wan22_video does not fit: missing on {fake.url}"
        )
        job = make_job(config("wan22_video"), values=small("wan22_video"))
        with pytest.raises(FailedPrecondition) as caught:
            await backend.render(job, ignore)
        assert caught.value.reason == "COMFY_WORKFLOW_UNFIT"
        assert not fake.prompts


async def test_a_lora_is_chained_before_the_model_is_used() -> None:
    values = {**small("qwen_image"), "loras": "lightning:0.5"}
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        await backend.render(make_job(config("qwen_image"), values=values), ignore)
        graph = fake.prompts[0]["prompt"]
        key = graph["66"]["inputs"]["model"][0]
        assert graph[key] == {
            "class_type": "LoraLoaderModelOnly",
            "inputs": {"model": ["37", 0], "lora_name": LIGHTNING, "strength_model": 0.5},
        }


async def test_without_a_choice_no_lora_is_loaded_and_none_need_be_there() -> None:
    models = {**MODELS, "lora_name": []}
    async with fake_comfyui(nodes=node_table(models)) as fake, connected(fake.url) as backend:
        assert await backend.unavailable_reason(config("qwen_image")) is None
        await backend.render(make_job(config("qwen_image"), values=small("qwen_image")), ignore)
        assert "LoraLoaderModelOnly" not in str(fake.prompts)


async def test_a_chosen_lora_that_is_not_there_is_named() -> None:
    models = {**MODELS, "lora_name": []}
    values = {**small("qwen_image"), "loras": "lightning:1"}
    async with fake_comfyui(nodes=node_table(models)) as fake, connected(fake.url) as backend:
        with pytest.raises(FailedPrecondition) as caught:
            await backend.render(make_job(config("qwen_image"), values=values), ignore)
        assert caught.value.reason == "COMFY_MODEL_MISSING"
        assert caught.value.message == f"model {LIGHTNING} is missing on {fake.url}"
        assert not fake.prompts


@pytest.mark.parametrize("kept", [False, True])
async def test_the_prompt_in_a_picture_is_kept_only_if_the_config_says_so(kept: bool) -> None:
    output = replace(config(), keep_metadata=kept)
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        product = await backend.render(make_job(output), ignore)
        data = await read(product)
        (file,) = (fake.root / "output" / "artlab").iterdir()
        assert (data == await asyncio.to_thread(file.read_bytes)) is kept
        assert (b"class_type" in data) is kept
        # Opened again for another attempt at recording, it is the same.
        assert await read(product) == data
