"""What a finished job left, in whatever shape."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.media.domain.graph import Node
from services.media.domain.workflow import Workflow
from tests.fakes.comfyui import Script, fake_comfyui
from tests.fakes.comfyui.jobs import (
    config,
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


async def test_of_ten_thousand_outputs_the_first_64_are_taken_and_the_rest_is_told() -> None:
    def many(outputs: dict[str, Any]) -> dict[str, Any]:
        return {"9": {"images": outputs["9"]["images"] * 10_000, "animated": [False]}}

    async with fake_comfyui(script=Script(outputs=many)) as fake, connected(fake.url) as backend:
        product = await backend.render(make_job(), ignore)
        assert product.metadata["files_left_out"] == "9936"
        assert len(product.others) == 63
        assert await read(product)
        assert len([seen for seen in fake.requests if seen.path == "/view"]) == 1


async def test_every_file_of_every_output_node_is_taken_in_order() -> None:
    def several(outputs: dict[str, Any]) -> dict[str, Any]:
        files = [{**FILE, "filename": f"{name}.png"} for name in "abcd"]
        # The second is one of a preview, and none of ours.
        temporary = {**FILE, "type": "temp"}
        return {
            "9": {"images": [files[0], temporary, files[1]], "gifs": [files[2]]},
            "3": {"images": [files[3]]},
            "8": {"images": [files[0]]},
        }

    output = config()
    workflow = output.backend_options["workflow"]
    assert isinstance(workflow, Workflow)
    options = {"workflow": replace(workflow, output_nodes=("3", "9"))}
    job = make_job(replace(output, backend_options=options))
    async with fake_comfyui(script=Script(outputs=several)) as fake, connected(fake.url) as backend:
        product = await backend.render(job, ignore)
    found = [one.metadata["filename"] for one in (product, *product.others)]
    assert found == ["d.png", "a.png", "b.png", "c.png"]


async def test_texts_are_taken_from_the_history() -> None:
    def texts(outputs: dict[str, Any]) -> dict[str, Any]:
        return {"9": {"text": ["Ein Gedicht über Blüten", "", "noch eins"]}}

    output = config()
    workflow = output.backend_options["workflow"]
    assert isinstance(workflow, Workflow)
    teller = Node("PreviewAny", {"source": ["8", 0]})
    options = {"workflow": replace(workflow, nodes={**workflow.nodes, "9": teller})}
    job = make_job(replace(output, kind="text", backend_options=options))
    async with fake_comfyui(script=Script(outputs=texts)) as fake, connected(fake.url) as backend:
        product = await backend.render(job, ignore)
        (other,) = product.others
        assert (await read(product)).decode() == "Ein Gedicht über Blüten"
        assert await read(other) == b"noch eins"
        # Asked again it is there already: a text needs no file.
        assert await read(await backend.render(job, ignore)) == await read(product)
        assert list(fake.executions.values()) == [1]


async def test_not_a_number_in_the_history_is_no_obstacle() -> None:
    def nan(outputs: dict[str, Any]) -> dict[str, Any]:
        return {**outputs, "7": {"text": [float("nan")]}}

    async with fake_comfyui(script=Script(outputs=nan)) as fake, connected(fake.url) as backend:
        assert await read(await backend.render(make_job(), ignore))
