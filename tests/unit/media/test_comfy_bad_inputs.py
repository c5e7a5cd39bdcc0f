"""Group comfy_workflow of the bad inputs: each with the answer that is expected."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, PngImagePlugin

from artlab.media.v1 import media_pb2
from services.kit.catalogue import CONFIGS, CatalogueError
from services.kit.errors import InvalidArgument
from services.media.catalogue import OutputCatalogue, load_output_catalogue
from services.media.domain.output_config import OutputConfig
from services.media.domain.png_text import without_texts
from services.media.domain.workflow import Workflow

HOSTILE = 'say "hi" \\ back\nnew line {0} ${x} %s {{y}} ","text":"'


@cache
def shipped() -> OutputCatalogue:
    return load_output_catalogue(CONFIGS)


def comfy_configs() -> list[OutputConfig]:
    found = [one for one in shipped().configs.values() if one.backend == "comfyui"]
    assert len(found) == 10
    return found


def hostile_text_arrives_as_it_is(folder: Path) -> None:
    for config in comfy_configs():
        workflow = config.backend_options["workflow"]
        assert isinstance(workflow, Workflow)
        given = {"negative_prompt": HOSTILE} if "negative_prompt" in config.slots else {}
        images = dict.fromkeys(config.image_slots, "a.png")
        graph: Any = json.loads(
            json.dumps(
                workflow.fill(
                    prompt=HOSTILE, seed=1, values=config.values(given), prefix="p", images=images
                )
            )
        )
        for slot in ("prompt", *given):
            for target in workflow.targets[slot]:
                assert graph[target.node]["inputs"][target.input] == HOSTILE


def refused_parameter(name: str, value: Any, reason: str = "INVALID_PARAMETER") -> None:
    """Every config either has no such parameter, or refuses this value of it."""
    for config in comfy_configs():
        with pytest.raises(InvalidArgument) as caught:
            config.values({name: value})
        expected = reason if name in config.slots else "UNKNOWN_PARAMETER"
        assert caught.value.reason == expected
        assert caught.value.field == f"parameters.{name}"


def a_size_beyond_the_cap_is_refused(folder: Path) -> None:
    refused_parameter("width", 100_000)
    refused_parameter("height", 2064)
    for config in comfy_configs():
        sides = [config.slots[name] for name in ("width", "height") if name in config.slots]
        assert all((side.maximum or 0) <= 2048 for side in sides)


def no_config_may_offer_more_than_the_cap(folder: Path) -> None:
    found = defects(folder, output={"slots.width.maximum": 4096})
    assert ("sd35_large.yaml", "slots.width.maximum", "at most 2048") in found


def no_contract_takes_a_model_file(folder: Path) -> None:
    fields = [field.name for field in media_pb2.GenerateMediaRequest.DESCRIPTOR.fields]
    assert not [name for name in fields if "model" in name or "file" in name]
    for name in ("ckpt_name", "unet_name", "lora_name", "model"):
        refused_parameter(name, "evil.safetensors")
    # LoRAs go by the names a config gives them, never by file.
    for value in ("Qwen-Image-Lightning-8steps-V1.0.safetensors", "../x", "lightning:9"):
        refused_parameter("loras", value)
    targets = {"slots.sampler.set": {"4": "ckpt_name"}}
    reasons = [reason for _, _, reason in defects(folder, output=targets)]
    assert "model files are not for requests to choose" in reasons


def a_foreign_class_is_refused_by_name(folder: Path) -> None:
    found = defects(folder, graph={"3.class_type": "PythonExec"})
    assert ("sd35_large.json", "3.class_type", "PythonExec is not an allowed node") in found
    # What the service logs before it ends, instead of serving.
    with pytest.raises(CatalogueError) as caught:
        load_output_catalogue(folder)
    assert "sd35_large.json: 3.class_type: PythonExec is not" in caught.value.message


def a_prefix_that_leaves_the_output_folder_is_refused(folder: Path) -> None:
    for prefix in ("/etc/evil", "../../evil", "C:\\evil", "a\\..\\..\\b"):
        found = defects(folder, graph={"9.inputs.filename_prefix": prefix})
        reason = "leaves the output folder: filename_prefix is set by us"
        assert ("sd35_large.json", "9.inputs.filename_prefix", reason) in found


def more_than_one_output_is_refused(folder: Path) -> None:
    refused_parameter("batch_size", 1000)
    found = defects(folder, graph={"53.inputs.batch_size": 1000})
    where = ("sd35_large.json", "53.inputs.batch_size")
    assert (*where, "one output per config: expected 1") in found
    targets = {"slots.steps.set": {"53": "batch_size"}}
    reasons = [reason for _, _, reason in defects(folder, output=targets)]
    assert "one output per config" in reasons


def metadata_with_the_prompt_is_taken_out(folder: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", HOSTILE)
    info.add_itxt("workflow", HOSTILE, zip=True)
    target = io.BytesIO()
    Image.new("RGB", (9, 9)).save(target, "PNG", pnginfo=info)
    clean = b"".join(without_texts([target.getvalue()]))
    assert Image.open(io.BytesIO(clean)).info == {}
    assert not any(config.keep_metadata for config in comfy_configs())
    edit(folder / "output" / "sd35_large.yaml", {"keep_metadata": True})
    assert load_output_catalogue(folder).configs["sd35_large"].keep_metadata


def edit(path: Path, changes: dict[str, Any]) -> None:
    document = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = document
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(json.dumps(document))


def defects(
    folder: Path, *, output: dict[str, Any] | None = None, graph: dict[str, Any] | None = None
) -> list[tuple[str, str, str]]:
    """What is wrong with sd35_large after these changes; they add up."""
    edit(folder / "output" / "sd35_large.yaml", output or {})
    edit(folder / "workflows" / "sd35_large.json", graph or {})
    with pytest.raises(CatalogueError) as caught:
        load_output_catalogue(folder)
    return [(one.file, one.field, one.reason) for one in caught.value.defects]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIGS, tmp_path / "configs"))


CASES: dict[str, Callable[[Path], None]] = {
    "user text with quotes, backslashes, newlines, braces": hostile_text_arrives_as_it_is,
    "steps = 100000": lambda folder: refused_parameter("steps", 100_000),
    "absolute filename_prefix": a_prefix_that_leaves_the_output_folder_is_refused,
    "width = 100000": a_size_beyond_the_cap_is_refused,
    "width = 4096 offered by a config": no_config_may_offer_more_than_the_cap,
    "model file name from the client": no_contract_takes_a_model_file,
    "batch_size = 1000": more_than_one_output_is_refused,
    "PNG with the prompt in its metadata": metadata_with_the_prompt_is_taken_out,
    "class_type outside the allow-list": a_foreign_class_is_refused_by_name,
}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_input_gets_its_answer(name: str, folder: Path) -> None:
    CASES[name](folder)
