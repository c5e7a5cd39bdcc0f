"""Slots of every kind: what they take, and which a config may not have."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kit.catalogue import CONFIGS, CatalogueError
from services.kit.errors import InvalidArgument
from services.media.catalogue import load_output_catalogue
from services.media.domain.lora import Lora, parse_loras, written_loras
from services.media.domain.output_config import OutputConfig, Slot
from services.media.domain.workflow import Workflow

LORAS = {"ink": Lora("ink.safetensors", 0.7), "wash": Lora("w/wash.safetensors")}
SLOT = Slot("loras", "loras", "", 0, 1.5, loras=LORAS, at_most=2)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", ()),
        ("  ", ()),
        ("ink", (("ink", 0.7),)),
        ("ink:1", (("ink", 1.0),)),
        (" wash : 0.25 , ink:0", (("wash", 0.25), ("ink", 0.0))),
    ],
)
def test_loras_are_chosen_by_name_in_the_order_given(text: str, chosen: Any) -> None:
    assert parse_loras(text, SLOT) == chosen
    assert parse_loras(written_loras(chosen), SLOT) == chosen


@pytest.mark.parametrize(
    "value",
    [
        "ink.safetensors",
        "ink,ink",
        "ink,",
        ",",
        "ink:",
        "ink:1.6",
        "ink:-0.1",
        "ink:nan",
        "ink:inf",
        "ink:1:1",
        "ink:one",
        "INK",
        "../ink",
        "ink" + " " * 500,
        7,
        None,
        ["ink"],
    ],
)
def test_other_loras_are_refused_with_what_is_accepted(value: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        SLOT.parse(value, "parameters.loras")
    assert caught.value.reason == "INVALID_PARAMETER"
    assert "at most 2 of ink, wash" in caught.value.message


def test_no_more_loras_at_once_than_the_config_says() -> None:
    one = Slot("loras", "loras", "", 0, 1.5, loras=LORAS, at_most=1)
    with pytest.raises(ValueError, match="too many"):
        parse_loras("ink, wash", one)


def test_one_way_to_write_a_choice_is_recorded() -> None:
    assert SLOT.parse("wash ,  ink:0.50", "f") == "wash:1, ink:0.5"


def test_frames_go_in_steps_with_one_more() -> None:
    slot = Slot("frames", "integer", 121, 9, 257, multiple_of=8, remainder=1)
    assert [slot.parse(frames, "f") for frames in (9, 121, 257)] == [9, 121, 257]
    for frames in (8, 120, 122, 265):
        with pytest.raises(InvalidArgument, match="a multiple of 8 and 1 more"):
            slot.parse(frames, "f")


@pytest.mark.parametrize("value", ["a.png", "../a.png", "", 7, True])
def test_a_picture_is_never_named(value: Any) -> None:
    image = Slot("input_image", "image", "")
    config = OutputConfig("c", "image", "comfyui", {}, {"input_image": image})
    assert config.image_slots == ("input_image",)
    assert config.values({}) == {}
    with pytest.raises(InvalidArgument, match="uploaded and never named"):
        config.values({"input_image": value})


def found(folder: Path, name: str, changes: dict[str, Any]) -> list[tuple[str, str]]:
    """Field and reason of every defect after changes of a shipped config."""
    path = folder / "output" / f"{name}.yaml"
    document = yaml.safe_load(path.read_text())
    for slot, fields in changes.items():
        place = document["slots"].setdefault(slot, {})
        place.update(fields)
        for key in [key for key, value in fields.items() if value is None]:
            del place[key]
    path.write_text(json.dumps(document))
    with pytest.raises(CatalogueError) as caught:
        load_output_catalogue(folder)
    return [(one.field, one.reason) for one in caught.value.defects if one.file == path.name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIGS, tmp_path / "configs"))


@pytest.mark.parametrize(
    ("name", "changes", "field", "reason"),
    [
        ("sd35_large", {"steps": {"kind": "number"}}, "slots.steps.kind", "is of kind integer"),
        ("sd35_large", {"steps": {"maximum": 1000}}, "slots.steps.maximum", "at most 150"),
        ("sd35_large", {"cfg": {"minimum": -1}}, "slots.cfg.minimum", "at least 0"),
        ("sd35_large", {"steps": {"remainder": 1}}, "slots.steps.remainder", "less than multiple"),
        (
            "wan22_video",
            {"frames": {"remainder": 4}},
            "slots.frames.remainder",
            "less than multiple_of",
        ),
        ("wan22_video", {"frames": {"remainder": 0}}, "slots.frames.default", "expected integer"),
        ("sd35_large", {"cfg": {"set": {"3": "steps"}}}, "slots.cfg", "is INT and takes no number"),
        (
            "sd35_large",
            {"negative_prompt": {"set": {"3": "seed"}}},
            "slots.negative_prompt",
            "3.seed is INT and takes no text",
        ),
        ("sd35_large", {"prompt": {"set": {"3": "cfg"}}}, "slots.prompt", "takes no prompt"),
        ("sd35_large", {"seed": {"set": {"3": "cfg"}}}, "slots.seed", "takes no seed"),
        (
            "sd35_large",
            {"sampler": {"choices": ["euler", "bogus"]}},
            "slots.sampler",
            "3.sampler_name has no bogus",
        ),
        (
            "stableaudio",
            {"seconds": {"minimum": 1, "set": {"3": "denoise"}}},
            "slots.seconds",
            "3.denoise takes no more than 1",
        ),
        ("qwen_img2img", {"input_image": {"default": "a.png"}}, "slots.input_image", "needs kind"),
        (
            "qwen_img2img",
            {"input_image": {"set": {"111": "prompt"}}},
            "slots.input_image",
            "111.prompt takes no picture",
        ),
        ("qwen_image", {"loras": {"default": "gone"}}, "slots.loras.default", "expected at most"),
        ("qwen_image", {"loras": {"maximum": 9}}, "slots.loras.maximum", "at most 2"),
        ("qwen_image", {"loras": {"minimum": None}}, "slots.loras", "need minimum and maximum"),
        ("qwen_image", {"loras": {"loras": None}}, "slots.loras.loras", "for kind loras"),
        (
            "qwen_image",
            {"loras": {"set": {"66": "shift"}}},
            "slots.loras",
            "66.shift is no link to a model",
        ),
        (
            "qwen_image",
            {"loras": {"set": {"3": "positive"}}},
            "slots.loras",
            "3.positive is CONDITIONING and no model",
        ),
        (
            "qwen_image",
            {"loras": {"loras": {"evil": {"file": "../../x.safetensors\\y"}}}},
            "slots.loras.loras.evil.file",
            "pattern",
        ),
    ],
)
def test_a_slot_that_does_not_fit_is_a_defect(
    folder: Path, name: str, changes: dict[str, Any], field: str, reason: str
) -> None:
    defects = found(folder, name, changes)
    assert [one for one in defects if one[0] == field and reason in one[1]], defects


def test_a_picture_that_no_slot_sets_is_a_defect(folder: Path) -> None:
    path = folder / "output" / "qwen_img2img.yaml"
    document = yaml.safe_load(path.read_text())
    del document["slots"]["input_image"]
    path.write_text(json.dumps(document))
    with pytest.raises(CatalogueError) as caught:
        load_output_catalogue(folder)
    assert ("qwen_img2img.json", "78.inputs.image") in [
        (one.file, one.field) for one in caught.value.defects
    ]


def test_a_kind_that_the_saver_does_not_make_is_a_defect(folder: Path) -> None:
    path = folder / "output" / "ltx_video.yaml"
    path.write_text(path.read_text().replace("kind: video", "kind: image", 1))
    with pytest.raises(CatalogueError) as caught:
        load_output_catalogue(folder)
    reasons = [(one.field, one.reason) for one in caught.value.defects]
    assert ("workflow.output_node", "SaveVideo saves video, not image") in reasons


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("KSampler: {wieght: 3}", "KSampler.wieght"),
        ("KSampler: {weight: 0}", "KSampler.weight"),
        ("KSampler: {saves: [smell]}", "KSampler.saves.0"),
        ("- KSampler", ""),
        ("KSampler: {}\nKSampler: {}", ""),
    ],
)
def test_a_broken_allow_list_is_told(folder: Path, content: str, reason: str) -> None:
    (folder / "comfyui" / "allowed_nodes.yaml").write_text(content)
    with pytest.raises(CatalogueError) as caught:
        load_output_catalogue(folder)
    assert [(one.file, one.field) for one in caught.value.defects] == [
        ("allowed_nodes.yaml", reason)
    ]


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
def test_broken_definitions_are_told(folder: Path, content: str) -> None:
    (folder / "comfyui" / "node_definitions.json").write_text(content)
    with pytest.raises(CatalogueError) as caught:
        load_output_catalogue(folder)
    assert [one.file for one in caught.value.defects] == ["node_definitions.json"]


def test_a_class_may_be_allowed_before_its_definition_is_known(folder: Path) -> None:
    allowed = folder / "comfyui" / "allowed_nodes.yaml"
    allowed.write_text(allowed.read_text() + "MyBlur: {}\n")
    path = folder / "workflows" / "sd35_large.json"
    graph = json.loads(path.read_text())
    graph["90"] = {"class_type": "MyBlur", "inputs": {"picture": ["8", 0], "anything": 3}}
    graph["9"]["inputs"]["images"] = ["90", 0]
    path.write_text(json.dumps(graph))
    workflow = load_output_catalogue(folder).configs["sd35_large"].backend_options["workflow"]
    assert isinstance(workflow, Workflow)
    assert "MyBlur" in workflow.class_types
