"""`artlab backends` beside a real media service and fake ComfyUIs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.cli.ports import free_ports
from tests.fakes.comfyui import fake_comfyui
from tests.fakes.comfyui.jobs import config, connected
from tests.fakes.comfyui.nodes import MODELS, node_table
from tests.integration.media.world import World, media_beside, recorder_at
from tests.support.command import artlab

WITHOUT_SD35 = {**MODELS, "ckpt_name": ["something_else.safetensors"]}


@asynccontextmanager
async def media(folder: Path, *urls: str) -> AsyncIterator[World]:
    """The media service with these ComfyUIs."""
    async with (
        recorder_at(folder / "runs") as target,
        connected(*urls) as backend,
        media_beside(target, configs={"sd35_large": config()}, backend=backend) as world,
    ):
        yield world


async def test_in_a_pipe_every_backend_and_instance_is_a_line_of_values_between_tabs(
    tmp_path: Path,
) -> None:
    async with (
        fake_comfyui() as one,
        fake_comfyui(nodes=node_table(WITHOUT_SD35)) as two,
        media(tmp_path, one.url, two.url, "http://127.0.0.1:9") as world,
    ):
        one.devices = [{"vram_total": 24 * 2**30, "vram_free": 3 * 2**29}]
        ended = await artlab("backends", "--media", world.target)
        assert (ended.code, ended.err) == (0, "")
        names, *rows = [line.split("\t") for line in ended.out.splitlines()]
        assert names == [
            *("backend", "instance", "state", "runs", "waits", "queue"),
            *("memory_free", "memory_total", "version", "remarks"),
        ]
        memory = [str(3 * 2**29), str(24 * 2**30)]
        lacks = "sd35_large: model sd3.5_large.safetensors is missing"
        away = "no ComfyUI answers at http://127.0.0.1:9"
        assert rows == [
            ["comfyui", "", "available", "", "0", "", "", "", "", ""],
            ["comfyui", one.url, "ready", "0", "0", "0", *memory, "0.26.0", ""],
            ["comfyui", two.url, "ready", "0", "0", "0", "", "", "0.26.0", lacks],
            ["comfyui", "http://127.0.0.1:9", "down", "0", "0", "0", "", "", "", away],
        ]


async def test_an_instance_is_drained_and_put_back(tmp_path: Path) -> None:
    async with fake_comfyui() as fake, media(tmp_path, fake.url) as world:
        at = ("--media", world.target)
        drained = await artlab("backends", "drain", fake.url, *at)
        assert (drained.code, drained.err) == (0, "")
        assert drained.out == f"{fake.url}: draining; no job of ours is left there\n"
        listed = json.loads((await artlab("backends", *at, "--json")).out)
        (backend,) = listed["backends"]
        assert (backend["name"], backend["available"]) == ("comfyui", False)
        (instance,) = backend["instances"]
        assert (instance["url"], instance["state"]) == (fake.url, "draining")
        # Before or behind the command, as with the other options.
        back = await artlab("backends", *at, "undrain", fake.url, "--json")
        assert json.loads(back.out)["state"] == "ready"


async def test_an_address_that_is_no_instance_is_a_wrong_request(tmp_path: Path) -> None:
    async with fake_comfyui() as fake, media(tmp_path, fake.url) as world:
        at = ("--media", world.target)
        ended = await artlab("backends", "drain", "http://127.0.0.1:1", *at)
        assert (ended.code, ended.out) == (2, "")
        assert "INSTANCE_NOT_FOUND" in ended.err
        assert (await artlab("backends", "drain", fake.url, "--backend", "no one", *at)).code == 2


@pytest.mark.parametrize("arguments", [(), ("drain", "http://127.0.0.1:8188")])
async def test_a_media_service_that_does_not_answer_is_told(arguments: tuple[str, ...]) -> None:
    target = f"127.0.0.1:{free_ports(('media',))['media']}"
    ended = await artlab("backends", "--media", target, *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"artlab: no media service answers at {target}\n"


async def test_an_address_of_the_service_that_is_none_is_a_wrong_request() -> None:
    ended = await artlab("backends", "--media", "nonsense")
    assert ended.code == 2
    assert "expected an address" in ended.err
