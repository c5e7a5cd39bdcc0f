"""`artlab workflow` and `artlab check --comfyui`, as people run them."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from services.cli.program import main
from services.kit.catalogue import CONFIGS
from services.media.catalogue import load_output_catalogue
from services.media.comfy_files import load_comfy_nodes
from tests.fakes.comfyui import fake_comfyui
from tests.fakes.comfyui.nodes import MODELS, node_table
from tests.support.editor_workflow import editor_document


def artlab(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIGS, tmp_path / "configs"))


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """The graph of sd35_large, under the name an editor would give it."""
    return Path(shutil.copy(CONFIGS / "workflows" / "sd35_large.json", tmp_path / "My Flow 2.json"))


def files_of(configs: Path) -> set[str]:
    return {str(path.relative_to(configs)) for path in configs.rglob("*") if path.is_file()}


def test_an_imported_workflow_is_an_output_of_the_catalogue(configs: Path, exported: Path) -> None:
    result = artlab("workflow", "import", exported, "--out", configs, "--title", "Mein Fluss")
    assert result.exit_code == 0, result.output
    assert "my_flow_2: makes image, slots prompt, seed, negative_prompt, width" in result.output
    found = load_output_catalogue(configs).configs["my_flow_2"]
    assert found.title == {"en": "Mein Fluss", "de": "Mein Fluss"}
    assert found.values({})["steps"] == 25
    assert artlab("check", "--configs", configs).exit_code == 0


def test_the_editors_format_is_converted(configs: Path, exported: Path) -> None:
    nodes = load_comfy_nodes(CONFIGS, [])
    assert nodes is not None
    document = editor_document(json.loads(exported.read_bytes()), nodes.definitions)
    exported.write_text(json.dumps(document))
    result = artlab("workflow", "import", exported, "--out", configs, "--name", "drawn")
    assert result.exit_code == 0, result.output
    assert load_output_catalogue(configs).configs["drawn"].values({})["cfg"] == 5.5


def test_what_is_refused_leaves_the_catalogue_as_it_was(configs: Path, exported: Path) -> None:
    before = files_of(configs)
    graph = json.loads(exported.read_bytes())
    graph["16"]["class_type"] = "PythonExec"
    exported.write_text(json.dumps(graph))
    result = artlab("workflow", "import", exported, "--out", configs)
    assert result.exit_code == 1
    assert "node 16: PythonExec is not an allowed node" in result.output
    assert files_of(configs) == before


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"[" * 100_000])
def test_a_file_that_is_no_json_is_refused(configs: Path, exported: Path, content: bytes) -> None:
    exported.write_bytes(content)
    result = artlab("workflow", "import", exported, "--out", configs)
    assert result.exit_code == 1
    assert "no JSON" in result.output


def test_an_output_that_is_there_is_only_overwritten_on_demand(
    configs: Path, exported: Path
) -> None:
    config = configs / "output" / "sd35_large.yaml"
    before = config.read_bytes()
    arguments = ("workflow", "import", exported, "--out", configs, "--name", "sd35_large")
    result = artlab(*arguments)
    assert result.exit_code == 2
    assert "is there already" in result.output
    assert config.read_bytes() == before
    assert artlab(*arguments, "--replace").exit_code == 0
    assert config.read_bytes() != before


@pytest.mark.parametrize("name", ["../evil", "Upper", "1st", "", "a" * 61])
def test_a_name_that_is_no_file_name_is_refused(configs: Path, exported: Path, name: str) -> None:
    before = files_of(configs)
    result = artlab("workflow", "import", exported, "--out", configs, "--name", name)
    assert result.exit_code == 2
    assert files_of(configs) == before


def change(exported: Path, key: str, **inputs: Any) -> None:
    """Set inputs of a node in the exported file."""
    graph = json.loads(exported.read_bytes())
    graph[key]["inputs"].update(inputs)
    exported.write_text(json.dumps(graph))


def newer_nodes() -> dict[str, Any]:
    """A ComfyUI whose VAEDecode has an input the shipped definitions do not know."""
    nodes = node_table()
    nodes["VAEDecode"]["input"]["required"]["precision"] = [["fast", "exact"], {}]
    return nodes


async def test_an_instance_tells_the_definitions_and_the_catalogue_must_know_them(
    configs: Path, exported: Path
) -> None:
    change(exported, "8", precision="exact")
    async with fake_comfyui(nodes=newer_nodes()) as fake:
        take = ("workflow", "import", exported, "--out", configs, "--comfyui", fake.url)
        first = await asyncio.to_thread(artlab, *take)
        assert first.exit_code == 1
        assert "8.inputs.precision" in first.output
        assert f"`artlab workflow nodes {fake.url}`" in first.output
        learned = await asyncio.to_thread(artlab, "workflow", "nodes", fake.url, "--out", configs)
        assert learned.exit_code == 0, learned.output
        second = await asyncio.to_thread(artlab, *take)
        assert second.exit_code == 0, second.output
    # Now the shipped workflows are the ones that do not fit, and each says so.
    check = artlab("check", "--configs", configs)
    assert check.exit_code == 1
    assert "sd35_large.json: 8.inputs.precision: missing" in check.output


async def test_definitions_taken_from_an_instance_are_those_that_are_shipped(
    configs: Path,
) -> None:
    file = configs / "comfyui" / "node_definitions.json"
    before = await asyncio.to_thread(file.read_text)
    async with fake_comfyui() as fake:
        result = await asyncio.to_thread(artlab, "workflow", "nodes", fake.url, "--out", configs)
    assert result.exit_code == 0, result.output
    assert await asyncio.to_thread(file.read_text) == before


async def test_check_says_which_outputs_an_instance_can_make() -> None:
    models = {**MODELS, "vae_name": ["pixel_space"]}
    async with fake_comfyui(nodes=node_table(models)) as fake:
        result = await asyncio.to_thread(artlab, "check", "--comfyui", fake.url)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "output sd35_large: available" in lines
    reason = f"model wan2.2_vae.safetensors is missing on {fake.url}"
    assert f"output wan22_video: not available: {reason}" in lines
    # That it takes a picture, which is sent along, is no reason.
    reason = f"model qwen_image_vae.safetensors is missing on {fake.url}"
    assert f"output qwen_img2img: not available: {reason}" in lines


def test_an_instance_that_does_not_answer_is_said(configs: Path, exported: Path) -> None:
    away = "http://127.0.0.1:9"
    result = artlab("check", "--comfyui", away)
    assert f"output sd35_large: not available: no ComfyUI answers at {away}" in result.output
    result = artlab("workflow", "import", exported, "--out", configs, "--comfyui", away)
    assert result.exit_code == 1
    assert "no ComfyUI answers" in result.output


@pytest.mark.parametrize("url", ["file:///etc/passwd", "not a url", "http://user:pw@host"])
def test_an_address_that_is_none_is_refused(url: str, configs: Path) -> None:
    assert artlab("check", "--comfyui", url).exit_code == 2
    assert artlab("workflow", "nodes", url, "--out", configs).exit_code == 1
