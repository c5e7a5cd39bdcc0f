"""Every RPC of media answers each malformed field with INVALID_ARGUMENT and the field's path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from artlab.media.v1 import media_pb2, media_pb2_grpc
from services.media.servicer import CAPS, MediaServicer
from tests.integration.media.world import CALL_SECONDS, World, media_beside, recorder_at, request
from tests.support.rpc import refused

RUN = "runs/0f0e0d0c-0b0a-4908-8706-050403020100"
UPLOAD = f"{RUN}/uploads/output-1"
BAD_UPLOADS = [
    "",
    "runs",
    RUN,
    f"{RUN}/entities/1",
    f"{RUN}/uploads/",
    f"{RUN}/uploads/UPPER",
    f"{RUN}/uploads/a/b",
    f"{RUN}/uploads/..",
    f"{RUN}/uploads/" + "a" * 65,
    f"{UPLOAD}\n",
    f"{UPLOAD}\x00",
    "runs/0F0E0D0C-0B0A-4908-8706-050403020100/uploads/output-1",
    "runs/{0f0e0d0c-0b0a-4908-8706-050403020100}/uploads/output-1",
    "../" * 30 + "uploads/output-1",
]
BAD_CONFIGS = ["", "Dada", "a-b", "a/b", "../x", "a" * 65, "picture\n", "ａ"]
BAD_FIELDS: list[tuple[str, Any, str, str]] = [
    *(("upload", value, "INVALID_NAME", "upload") for value in BAD_UPLOADS),
    *(("output_config", value, "INVALID_CONFIG_NAME", "output_config") for value in BAD_CONFIGS),
    ("prompt", "", "EMPTY_TEXT", "prompt"),
    ("prompt", " \n\t", "EMPTY_TEXT", "prompt"),
    ("prompt", "x" * 20_001, "TEXT_TOO_LONG", "prompt"),
    ("prompt", "花" * 20_000 + "花", "TEXT_TOO_LONG", "prompt"),
    ("prompt", "😀" * 16_500, "TEXT_TOO_LONG", "prompt"),
    ("prompt", "a\x00b", "INVALID_CHARACTER", "prompt"),
    ("prompt", "a\x1bb", "INVALID_CHARACTER", "prompt"),
    ("output_index", 0, "INVALID_OUTPUT_INDEX", "output_index"),
    ("output_index", -1, "INVALID_OUTPUT_INDEX", "output_index"),
    ("output_index", 2**31 - 1, "INVALID_OUTPUT_INDEX", "output_index"),
    ("seed", -1, "INVALID_SEED", "seed"),
    ("seed", 2**53, "INVALID_SEED", "seed"),
    ("seed", -(2**63), "INVALID_SEED", "seed"),
    ("parameters", {"width": "abc"}, "INVALID_PARAMETER", "parameters.width"),
    ("parameters", {"width": ""}, "INVALID_PARAMETER", "parameters.width"),
    ("parameters", {"width": "[1]"}, "INVALID_PARAMETER", "parameters.width"),
    ("parameters", {"width": "null"}, "INVALID_PARAMETER", "parameters.width"),
    ("parameters", {"width": "NaN"}, "INVALID_PARAMETER", "parameters.width"),
    ("parameters", {"width": "1e400"}, "INVALID_PARAMETER", "parameters.width"),
    ("parameters", {"width": "true"}, "INVALID_PARAMETER", "parameters.width"),
    ("parameters", {"width": "63"}, "INVALID_PARAMETER", "parameters.width"),
    ("parameters", {"width": "2049"}, "INVALID_PARAMETER", "parameters.width"),
    ("parameters", {"width": "128.0"}, "INVALID_PARAMETER", "parameters.width"),
    ("parameters", {"width": "9" * 30_000}, "INVALID_PARAMETER", "parameters.width"),
    ("parameters", {"style": '"loud"'}, "INVALID_PARAMETER", "parameters.style"),
    ("parameters", {"steps": "4"}, "UNKNOWN_PARAMETER", "parameters.steps"),
    ("parameters", {"prompt": '"x"'}, "UNKNOWN_PARAMETER", "parameters.prompt"),
    ("parameters", {"../x": "4"}, "UNKNOWN_PARAMETER", "parameters"),
    ("parameters", {f"p{i}": "1" for i in range(65)}, "TOO_MANY_PARAMETERS", "parameters"),
    *(("user_id", value, "INVALID_USER_ID", "user_id") for value in ("Ada", "a b", "a" * 65, "ä")),
    *(("recipe", value, "INVALID_CONFIG_NAME", "recipe") for value in BAD_CONFIGS if value),
    *(("epoch", value, "OUT_OF_BOUNDS", "epoch") for value in (-1, -(2**63))),
]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """The service as in `__main__`, with a scripted backend."""
    async with recorder_at(tmp_path / "runs") as target, media_beside(target) as world:
        yield world


async def test_generate_names_each_malformed_field(world: World) -> None:
    for field, value, reason, path in BAD_FIELDS:
        async with refused("INVALID_ARGUMENT", reason, path) as seen:
            await _drain(world, **{field: value})
        assert len(seen.message) < 300
    assert not world.backend.jobs


@pytest.mark.parametrize("name", BAD_UPLOADS)
async def test_cancel_names_the_malformed_upload(world: World, name: str) -> None:
    async with refused("INVALID_ARGUMENT", "INVALID_NAME", "upload"):
        await world.cancel(name)


@pytest.mark.parametrize(
    ("changes", "reason", "path"),
    [
        ({"backend": ""}, "INVALID_CONFIG_NAME", "backend"),
        ({"backend": "../x"}, "INVALID_CONFIG_NAME", "backend"),
        ({"url": ""}, "EMPTY_TEXT", "url"),
        ({"url": "http://a\x00b"}, "INVALID_CHARACTER", "url"),
        ({"url": "h" * 20_001}, "TEXT_TOO_LONG", "url"),
    ],
)
async def test_draining_names_each_malformed_field(
    world: World, changes: dict[str, str], reason: str, path: str
) -> None:
    values = {"backend": "comfyui", "url": "http://127.0.0.1:8188"} | changes
    asked = media_pb2.SetInstanceDrainingRequest(**values, draining=True)
    async with refused("INVALID_ARGUMENT", reason, path):
        await world.media.SetInstanceDraining(asked, timeout=CALL_SECONDS)


async def test_an_unknown_config_is_not_found(world: World) -> None:
    async with refused("NOT_FOUND", "CONFIG_NOT_FOUND", "output_config"):
        await _drain(world, output_config="nobody_knows")


async def test_a_message_that_is_no_protobuf_is_the_callers_fault(world: World) -> None:
    async with refused("INVALID_ARGUMENT", "MALFORMED_MESSAGE"):
        await _raw(world, b"\xff\xff\xff")


def test_every_rpc_is_implemented_and_has_a_cap() -> None:
    (service,) = media_pb2.DESCRIPTOR.services_by_name.values()
    names = {method.name for method in service.methods}
    assert names == set(CAPS)
    for name in names:
        own = getattr(MediaServicer, name)
        assert own is not getattr(media_pb2_grpc.MediaServiceServicer, name)


async def _drain(world: World, **changes: Any) -> None:
    values = {"upload": UPLOAD} | changes
    upload = values.pop("upload")
    call = world.media.GenerateMedia(request(upload, **values), timeout=CALL_SECONDS)
    async for _ in call:
        pass


async def _raw(world: World, data: bytes) -> None:
    call = world.channel.unary_stream(
        "/artlab.media.v1.MediaService/GenerateMedia",
        request_serializer=lambda raw: raw,
        response_deserializer=media_pb2.GenerateMediaResponse.FromString,
    )
    async for _ in call(data, timeout=CALL_SECONDS):
        pass
