"""The catalogue of outputs: the shipped one holds, and broken ones say where."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kit.catalogue import CONFIGS, CatalogueError
from services.media.catalogue import OutputCatalogue, load_output_catalogue
from services.media.comfy_files import load_comfy_nodes
from services.media.domain.graph import Node
from services.media.domain.graph_check import check_graph
from services.media.domain.node_definition import parse_definitions
from services.media.domain.workflow import Workflow
from tests.fakes.comfyui.nodes import node_table, real_nodes
from tests.fakes.comfyui.validation import validate

REAL_NODES = CONFIGS.parents[1] / "shared" / "reference" / "comfyui_object_info.json"
COMFY = (
    "acestep_instrumental",
    "flux2",
    "ltx_video",
    "qwen_image",
    "qwen_img2img",
    "sd35_large",
    "sd35_large_turbo",
    "stableaudio",
    "wan22_i2v_video",
    "wan22_video",
)


def test_the_shipped_catalogue_has_no_defect() -> None:
    catalogue = load_output_catalogue(CONFIGS)
    assert set(catalogue.configs) >= {*COMFY, "builtin_image", "builtin_text"}
    for (kind, _), names in catalogue.defaults.items():
        assert catalogue.configs[names[-1]].backend == "builtin"
        assert {catalogue.configs[name].kind for name in names} == {kind}
    assert catalogue.defaults["image", "eco"][0] == "sd35_large"
    assert catalogue.defaults["text", "fast"] == ("builtin_text",)


def test_defaults_and_bounds_are_those_the_catalogue_promises() -> None:
    configs = load_output_catalogue(CONFIGS).configs
    wanted: dict[str, dict[str, Any]] = {
        "sd35_large": {"width": 1024, "steps": 25, "cfg": 5.5, "scheduler": "normal"},
        "flux2": {"width": 1024, "steps": 20},
        "qwen_image": {"width": 1328, "steps": 20, "cfg": 2.5, "loras": ""},
        "builtin_image": {"width": 1024, "height": 1024},
        "sd35_large_turbo": {"width": 1024, "height": 1024, "steps": 4, "cfg": 1},
        "qwen_img2img": {"steps": 4, "denoise": 0.55},
        "stableaudio": {"seconds": 47.6, "steps": 50, "cfg": 4.98},
        "acestep_instrumental": {"seconds": 90, "steps": 50, "cfg": 5},
        "ltx_video": {"width": 1216, "height": 704, "frames": 121, "fps": 30, "steps": 25},
        "wan22_video": {"width": 1280, "height": 704, "frames": 121, "fps": 24, "steps": 20},
        "wan22_i2v_video": {"width": 640, "height": 640, "frames": 81, "fps": 16},
    }
    for name, values in wanted.items():
        assert values.items() <= configs[name].values({}).items()
        sides = [configs[name].slots.get(side) for side in ("width", "height")]
        assert all(side is None or (side.maximum or 0) <= 2048 for side in sides)
    assert "negative_prompt" in configs["sd35_large"].slots
    assert not {"prompt", "seed"} & set(configs["sd35_large"].slots)


@cache
def shipped() -> OutputCatalogue:
    """The catalogue of the project."""
    return load_output_catalogue(CONFIGS)


@cache
def real() -> dict[str, dict[str, Any]]:
    """The definitions of a real ComfyUI."""
    return real_nodes(REAL_NODES)


def filled(name: str, extreme: str) -> dict[str, Any]:
    """The graph of a shipped config with all its slots at one end of their bounds."""
    config = shipped().configs[name]
    workflow = config.backend_options["workflow"]
    assert isinstance(workflow, Workflow)
    values = config.values({})
    for slot in config.slots.values():
        bound = getattr(slot, extreme)
        if slot.kind == "loras":
            chosen = list(slot.loras)[: slot.at_most] if extreme == "maximum" else []
            values[slot.name] = ", ".join(f"{lora}:{bound:g}" for lora in chosen)
        elif bound is not None:
            if slot.multiple_of is not None:
                bound += (slot.remainder - bound) % slot.multiple_of
                bound -= slot.multiple_of if bound > slot.maximum else 0
            values[slot.name] = int(bound) if slot.kind == "integer" else bound
        elif slot.choices:
            values[slot.name] = slot.choices[0 if extreme == "minimum" else -1]
    images = dict.fromkeys(config.image_slots, "picture.png")
    return workflow.fill(
        prompt="p", seed=2**53 - 1, values=values, prefix="artlab/x", images=images
    )


def parsed_graph(name: str, extreme: str) -> dict[str, Node]:
    """The same, parsed."""
    return {
        key: Node(node["class_type"], node["inputs"]) for key, node in filled(name, extreme).items()
    }


@pytest.mark.parametrize("extreme", ["minimum", "maximum"])
@pytest.mark.parametrize("name", COMFY)
def test_shipped_workflows_are_valid_for_the_fakes_nodes(name: str, extreme: str) -> None:
    verdict = validate(filled(name, extreme), node_table())
    assert (verdict.error, verdict.node_errors) == (None, {})


needs_reference = pytest.mark.skipif(
    not REAL_NODES.is_file(), reason="definitions of a real ComfyUI are not beside the checkout"
)


@needs_reference
@pytest.mark.parametrize("extreme", ["minimum", "maximum"])
@pytest.mark.parametrize("name", COMFY)
def test_shipped_workflows_are_valid_for_a_real_comfyui(name: str, extreme: str) -> None:
    verdict = validate(filled(name, extreme), real())
    assert (verdict.error, verdict.node_errors) == (None, {})
    assert check_graph(parsed_graph(name, extreme), parse_definitions(real())) == []


@pytest.mark.parametrize("extreme", ["minimum", "maximum"])
@pytest.mark.parametrize("name", COMFY)
def test_shipped_workflows_have_no_defect_by_the_shipped_definitions(
    name: str, extreme: str
) -> None:
    nodes = load_comfy_nodes(CONFIGS, [])
    assert nodes is not None
    assert set(nodes.definitions) == set(nodes.allowed)
    assert check_graph(parsed_graph(name, extreme), nodes.definitions) == []


@needs_reference
def test_the_shipped_definitions_are_those_of_a_real_comfyui() -> None:
    known = parse_definitions(real_nodes(REAL_NODES, {}))
    nodes = load_comfy_nodes(CONFIGS, [])
    assert nodes is not None
    for name, node in nodes.definitions.items():
        models = nodes.allowed[name].models
        assert (node.outputs, node.is_output) == (known[name].outputs, known[name].is_output), name
        assert list(node.inputs) == list(known[name].inputs), name
        for key, found in node.inputs.items():
            wanted = known[name].inputs[key]
            if key in models or found.branches is not None:
                # Which models there are, and what a choice brings along, differ or are not told.
                found = replace(found, choices=None, branches=None)
                wanted = replace(wanted, choices=None)
            assert found == wanted, f"{name}.{key}"


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    for part in ("output", "workflows", "comfyui"):
        shutil.copytree(CONFIGS / part, tmp_path / part)
    shutil.copy(CONFIGS / "output_defaults.yaml", tmp_path)
    return tmp_path


def found(configs: Path) -> list[tuple[str, str]]:
    with pytest.raises(CatalogueError) as caught:
        load_output_catalogue(configs)
    return [(defect.file, defect.field) for defect in caught.value.defects]


def edit(path: Path, **changes: Any) -> None:
    document = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *parents, last = key.split("__")
        place = document
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"workflow__file": "../../etc/passwd.json"}, "workflow.file"),
        ({"workflow__file": "nothing.json"}, "workflow.file"),
        ({"workflow__output_node": "8"}, "workflow.output_node"),
        ({"workflow": None}, "workflow"),
        ({"backend": "shell"}, "backend"),
        ({"backend": "builtin"}, "workflow"),
        ({"kind": "smell"}, "kind"),
        ({"title__de": None}, "title.de"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
        ({"deadline_seconds": 100_000}, "deadline_seconds"),
        ({"surprise": 1}, "surprise"),
        ({"slots__prompt": None}, "slots.prompt"),
        ({"slots__prompt": {"set": {"16": "text"}, "default": "x"}}, "slots.prompt"),
        ({"slots__width__set": {"99": "width"}}, "slots.width"),
        ({"slots__width__set": {"53": "depth"}}, "slots.width"),
        ({"slots__width__maximum": None}, "slots.width"),
        ({"slots__width__default": 4096}, "slots.width.default"),
        ({"slots__width__default": 1000}, "slots.width.default"),
        ({"slots__width__default": None}, "slots.width"),
        ({"slots__cfg__multiple_of": 2}, "slots.cfg.multiple_of"),
        ({"slots__sampler__choices": None}, "slots.sampler.choices"),
        ({"slots__sampler__default": "bogus"}, "slots.sampler.default"),
        ({"slots__steps__colour": 1}, "slots.steps.colour"),
    ],
)
def test_a_broken_output_config_is_told_with_file_and_field(
    configs: Path, changes: dict[str, Any], field: str
) -> None:
    path = configs / "output" / "sd35_large.yaml"
    edit(path, **changes)
    assert (path.name, field) in found(configs)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"3__class_type": "PythonExec"}, "3.class_type"),
        ({"3__inputs__model": ["99", 0]}, "3.inputs.model"),
        ({"9__inputs__filename_prefix": "/tmp/x"}, "9.inputs.filename_prefix"),
    ],
)
def test_a_broken_workflow_is_told_with_file_and_field(
    configs: Path, changes: dict[str, Any], field: str
) -> None:
    path = configs / "workflows" / "sd35_large.json"
    edit(path, **changes)
    assert (path.name, field) in found(configs)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"image__eco": ["builtin_image", "sd35_large"]}, "image.eco"),
        ({"image__fast": ["nothing", "builtin_image"]}, "image.fast"),
        ({"image__eco": ["builtin_text"]}, "image.eco"),
        ({"image__eco": ["builtin_image", "builtin_image"]}, "image.eco"),
        ({"image__eco": []}, "image.eco"),
        ({"image__eco": None}, "image.eco"),
        ({"smell": {}}, "smell"),
    ],
)
def test_broken_defaults_are_told_with_the_field(
    configs: Path, changes: dict[str, Any], field: str
) -> None:
    edit(configs / "output_defaults.yaml", **changes)
    assert ("output_defaults.yaml", field) in found(configs)


def test_all_defects_of_all_files_are_told_at_once(configs: Path) -> None:
    edit(configs / "output" / "sd35_large.yaml", kind="smell")
    edit(configs / "workflows" / "flux2.json", **{"12__class_type": "Shell"})
    (configs / "output" / "Bad Name.yaml").write_text("kind: image")
    files = {file for file, _ in found(configs)}
    assert {"sd35_large.yaml", "flux2.json", "Bad Name.yaml", "output_defaults.yaml"} <= files


def test_an_empty_folder_is_a_defect_and_no_crash(tmp_path: Path) -> None:
    assert found(tmp_path)
