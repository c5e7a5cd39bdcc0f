"""Configs of hosted backends and chains of fallbacks: the shipped ones, and broken ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kit.catalogue import CONFIGS, CatalogueError
from services.media.catalogue import load_output_catalogue

HOSTED = {
    "swarmui_image": "swarmui",
    "gpt_image": "openai_images",
    "openrouter_image": "openrouter",
    "hf_inference_image": "huggingface",
    "replicate_image": "replicate",
}


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    for part in ("output", "workflows", "comfyui"):
        shutil.copytree(CONFIGS / part, tmp_path / part)
    shutil.copy(CONFIGS / "output_defaults.yaml", tmp_path)
    return tmp_path


def edit(configs: Path, name: str, **changes: Any) -> None:
    path = configs / "output" / f"{name}.yaml"
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


def defects(configs: Path) -> dict[tuple[str, str], str]:
    with pytest.raises(CatalogueError) as caught:
        load_output_catalogue(configs)
    return {(defect.file, defect.field): defect.reason for defect in caught.value.defects}


def test_a_config_of_every_hosted_backend_is_shipped_and_nobody_gets_one_unasked() -> None:
    catalogue = load_output_catalogue(CONFIGS)
    for name, backend in HOSTED.items():
        config = catalogue.configs[name]
        assert (config.backend, config.kind) == (backend, "image")
        assert {"de", "en"} <= set(config.title)
    assert not {name for names in catalogue.defaults.values() for name in names} & set(HOSTED)
    cost = catalogue.configs["gpt_image"].cost
    assert cost is not None
    assert (str(cost.amount), cost.currency) == ("0.17", "USD")


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("gpt_image", {"options": None}, "options"),
        ("gpt_image", {"options__model": None}, "options.model"),
        ("gpt_image", {"options__model": "../../models"}, "options.model"),
        ("gpt_image", {"options__model": "a?b"}, "options.model"),
        ("gpt_image", {"options__colour": "red"}, "options.colour"),
        ("gpt_image", {"options__sizes": ["large"]}, "options.sizes.0"),
        ("gpt_image", {"kind": "video"}, "kind"),
        ("gpt_image", {"slots__height": None}, "slots.width"),
        ("gpt_image", {"slots__steps": {"kind": "integer", "default": 4, "minimum": 1,
                                        "maximum": 8}}, "slots.steps"),
        ("gpt_image", {"slots__width__set": {"1": "width"}}, "slots.width"),
        ("gpt_image", {"cost__amount": -1}, "cost.amount"),
        ("gpt_image", {"cost__currency": "dollars"}, "cost.currency"),
        ("gpt_image", {"cost__per": "hour"}, "cost.per"),
        ("openrouter_image", {"options__aspect_ratios": ["wide"]}, "options.aspect_ratios.0"),
        ("openrouter_image", {"options__modalities": ["smell"]}, "options.modalities.0"),
        ("replicate_image", {"options__inputs": {"mask": "mask"}}, "slots.mask"),
        ("replicate_image", {"options__output_hosts": ["https://x"]}, "options.output_hosts.0"),
        ("hf_inference_image", {"options__parameters": {"x": [1]}}, "options.parameters.x.bool"),
        ("swarmui_image", {"workflow": {"file": "flux2.json", "output_node": "9"}}, "workflow"),
        ("builtin_image", {"options": {"model": "x"}}, "options"),
    ],
)  # fmt: skip
def test_a_broken_hosted_config_is_told_with_file_and_field(
    configs: Path, name: str, changes: dict[str, Any], field: str
) -> None:
    edit(configs, name, **changes)
    assert (f"{name}.yaml", field) in defects(configs)


@pytest.mark.parametrize(
    ("name", "fallback", "field", "says"),
    [
        ("flux2", ["nothing"], "fallback.0", "there is no output nothing"),
        ("flux2", ["sd35_large", "ltx_video"], "fallback.1", "ltx_video makes video"),
        ("flux2", ["flux2"], "fallback", "flux2 → flux2"),
        ("flux2", ["qwen_img2img"], "fallback.0", "takes other pictures"),
        ("qwen_img2img", ["flux2"], "fallback.0", "takes other pictures"),
        ("sd35_large", ["gpt_image"], "fallback.0", "out of the house"),
        ("hf_inference_image", ["replicate_image"], "fallback", "in a circle"),
    ],
)
def test_a_broken_chain_is_told(
    configs: Path, name: str, fallback: list[str], field: str, says: str
) -> None:
    edit(configs, name, fallback=fallback)
    assert says in defects(configs)[f"{name}.yaml", field]


def test_a_circle_over_several_files_is_told_in_each_of_them(configs: Path) -> None:
    edit(configs, "flux2", fallback=["sd35_large"])
    edit(configs, "sd35_large", fallback=["qwen_image"])
    edit(configs, "qwen_image", fallback=["builtin_image", "flux2"])
    found = defects(configs)
    assert {file for file, field in found if field == "fallback"} == {
        "flux2.yaml",
        "sd35_large.yaml",
        "qwen_image.yaml",
    }
    assert "flux2 → sd35_large → qwen_image → flux2" in found["flux2.yaml", "fallback"]


def test_a_chain_has_an_end(configs: Path) -> None:
    names = [f"more_{number}" for number in range(8)]
    for name, following in zip(names, [*names[1:], "builtin_image"], strict=True):
        shutil.copy(configs / "output" / "flux2.yaml", configs / "output" / f"{name}.yaml")
        edit(configs, name, fallback=[following])
    assert defects(configs) == {("more_0.yaml", "fallback"): "at most 8 in a chain"}


def test_a_fallback_with_defects_of_its_own_is_told_once(configs: Path) -> None:
    edit(configs, "flux2", fallback=["sd35_large"])
    edit(configs, "sd35_large", kind="smell")
    assert not [field for file, field in defects(configs) if file == "flux2.yaml"]
