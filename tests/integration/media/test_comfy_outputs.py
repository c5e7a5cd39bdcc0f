"""What a finished job left, in whatever shape."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.comfyui import Script, fake_comfyui
from tests.fakes.comfyui.jobs import (
    connected,
    failure,
    ignore,
    make_job,
    read,
)


def images(*items: Any) -> Any:
    return lambda outputs: {"9": {"images": list(items)}}


FILE = {"filename": "a.png", "subfolder": "", "type": "output"}


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (lambda _: {}, "COMFY_NO_OUTPUT"),
        (lambda _: {"9": {}}, "COMFY_NO_OUTPUT"),
        (lambda _: {"9": {"images": None}}, "COMFY_PROTOCOL"),
        (lambda _: {"9": None}, "COMFY_PROTOCOL"),
        (lambda found: {"8": found["9"]}, "COMFY_NO_OUTPUT"),
        (images({**FILE, "type": "temp"}), "COMFY_NO_OUTPUT"),
        (images({**FILE, "filename": "../../../etc/passwd"}), "COMFY_PROTOCOL"),
        (images({**FILE, "filename": "/etc/passwd"}), "COMFY_PROTOCOL"),
        (images({**FILE, "filename": "a.png [output]"}), "COMFY_PROTOCOL"),
        (images({**FILE, "filename": "a.png[temp] "}), "COMFY_PROTOCOL"),
        (images({**FILE, "filename": ""}), "COMFY_PROTOCOL"),
        (images({**FILE, "filename": 7}), "COMFY_PROTOCOL"),
        (images({**FILE, "subfolder": "../x"}), "COMFY_PROTOCOL"),
        (images({**FILE, "subfolder": "/etc"}), "COMFY_PROTOCOL"),
        (images({**FILE, "subfolder": "C:\\x"}), "COMFY_PROTOCOL"),
    ],
)
async def test_outputs_of_the_wrong_shape_are_refused_before_any_download(
    outputs: Any, reason: str
) -> None:
    async with fake_comfyui(script=Script(outputs=outputs)) as fake:
        assert (await failure(fake)).reason == reason
        assert not [seen for seen in fake.requests if seen.path == "/view"]


async def test_of_ten_thousand_outputs_the_first_is_taken() -> None:
    def many(outputs: dict[str, Any]) -> dict[str, Any]:
        return {"9": {"images": outputs["9"]["images"] * 10_000, "animated": [False]}}

    async with fake_comfyui(script=Script(outputs=many)) as fake, connected(fake.url) as backend:
        product = await backend.render(make_job(), ignore)
        assert product.metadata["files"] == "10000"
        assert await read(product)
        assert len([seen for seen in fake.requests if seen.path == "/view"]) == 1


async def test_not_a_number_in_the_history_is_no_obstacle() -> None:
    def nan(outputs: dict[str, Any]) -> dict[str, Any]:
        return {**outputs, "7": {"text": [float("nan")]}}

    async with fake_comfyui(script=Script(outputs=nan)) as fake, connected(fake.url) as backend:
        assert await read(await backend.render(make_job(), ignore))
