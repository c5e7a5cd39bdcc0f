"""An exported workflow becomes a config: which slots are seen, what is refused and why."""

from __future__ import annotations

import copy
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services.kit.catalogue import CONFIGS
from services.media.catalogue import load_output_catalogue
from services.media.comfy_files import ComfyNodes, load_comfy_nodes
from services.media.domain.workflow import Workflow
from services.media.workflow_import import Imported, ImportRefused, import_workflow
from tests.support.editor_workflow import editor_document

SHIPPED = load_output_catalogue(CONFIGS).configs
COMFY = sorted(name for name, found in SHIPPED.items() if found.backend == "comfyui")


@cache
def nodes() -> ComfyNodes:
    found = load_comfy_nodes(CONFIGS, [])
    assert found is not None
    return found


def graph(name: str = "sd35_large", **changes: dict[str, Any]) -> dict[str, Any]:
    """A shipped graph; `n3={"steps": 7}` changes inputs of node 3."""
    found: dict[str, Any] = json.loads(Path(CONFIGS, "workflows", f"{name}.json").read_bytes())
    for key, inputs in changes.items():
        found[key.removeprefix("n")]["inputs"].update(inputs)
    return found


def imported(document: object, **options: Any) -> Imported:
    return import_workflow(document, "mine", nodes(), **options)


def refused(document: object, **options: Any) -> tuple[str, ...]:
    with pytest.raises(ImportRefused) as caught:
        imported(document, **options)
    return caught.value.reasons


def slots(document: object) -> dict[str, Any]:
    found: dict[str, Any] = imported(document).config["slots"]
    return found


def targets_of(name: str) -> dict[str, set[tuple[str, str]]]:
    """What each slot of a shipped config sets."""
    workflow = SHIPPED[name].backend_options["workflow"]
    assert isinstance(workflow, Workflow)
    found = dict(workflow.targets)
    return {slot: {(one.node, one.input) for one in targets} for slot, targets in found.items()}


@pytest.mark.parametrize("as_editor", [False, True])
@pytest.mark.parametrize("name", COMFY)
def test_the_slots_of_a_shipped_config_are_found_in_its_graph(name: str, as_editor: bool) -> None:
    document: Any = graph(name)
    if as_editor:
        document = editor_document(document, nodes().definitions)
    found = slots(document)
    wanted = targets_of(name)
    got = {slot: set(draft["set"].items()) for slot, draft in found.items() if slot != "loras"}
    assert got.items() >= wanted.items()
    config = SHIPPED[name]
    for slot in config.slots.values():
        if slot.kind == "loras" or slot.name == "negative_prompt" or slot.name == "lyrics":
            continue
        assert found[slot.name]["kind"] == slot.kind or slot.name == "fps"
        if slot.name != "seconds":
            assert found[slot.name].get("multiple_of", 1) == (slot.multiple_of or 1)
            assert found[slot.name].get("remainder", 0) == slot.remainder


def test_defaults_are_the_values_of_the_graph() -> None:
    found = slots(graph(n3={"steps": 31, "cfg": 4.25, "sampler_name": "lcm"}, n53={"width": 768}))
    assert found["steps"]["default"] == 31
    assert found["cfg"]["default"] == 4.25
    assert found["width"]["default"] == 768
    assert found["sampler"]["default"] == "lcm"
    assert found["sampler"]["choices"][0] == "lcm"


def test_the_text_of_the_negative_prompt_is_its_default_and_that_of_the_prompt_is_not_kept() -> (
    None
):
    taken = imported(
        graph(n16={"text": "somebody's words"}, n40={"text": "blurry"}, n3={"seed": 9})
    )
    assert taken.config["slots"]["negative_prompt"]["default"] == "blurry"
    assert "somebody" not in taken.graph_text + taken.config_text
    assert taken.graph["3"]["inputs"]["seed"] == 0


def test_a_blanked_negative_and_one_shared_by_both_are_no_slot() -> None:
    assert "negative_prompt" not in slots(graph("sd35_large_turbo"))
    assert "negative_prompt" not in slots(graph(n3={"negative": ["16", 0]}))


def test_primitives_behind_inputs_are_what_the_slots_set() -> None:
    found = graph(n3={"steps": ["90", 0]}, n53={"width": ["91", 0], "height": ["91", 0]})
    found["90"] = {"class_type": "PrimitiveInt", "inputs": {"value": 12}}
    found["91"] = {"class_type": "PrimitiveInt", "inputs": {"value": 768}}
    drafts = slots(found)
    assert drafts["steps"]["set"] == {"90": "value"}
    assert drafts["steps"]["default"] == 12
    assert drafts["width"]["set"] == {"91": "value"}


def test_values_that_differ_are_not_set_by_one_slot() -> None:
    taken = imported(graph("ltx_video", n78={"fps": 24.0}))
    assert taken.config["slots"]["fps"]["set"] == {"69": "frame_rate"}
    assert "78.fps stays 24.0: not set by slot fps" in taken.notes


def test_samplers_that_share_the_steps_keep_them() -> None:
    taken = imported(graph("wan22_i2v_video"))
    assert "steps" not in taken.config["slots"]
    assert any(note.startswith("steps stays as it is") for note in taken.notes)
    assert taken.config["slots"]["seed"]["set"] == {"86": "noise_seed"}


def with_loras(*files: tuple[str, float]) -> dict[str, Any]:
    found = graph("qwen_image")
    link: list[Any] = ["37", 0]
    for number, (file, strength) in enumerate(files):
        key = f"7{number}"
        inputs = {"model": link, "lora_name": file, "strength_model": strength}
        found[key] = {"class_type": "LoraLoaderModelOnly", "inputs": inputs}
        link = [key, 0]
    found["66"]["inputs"]["model"] = link
    return found


def test_a_chain_of_loras_becomes_a_slot_with_their_names() -> None:
    taken = imported(with_loras(("art/Water Colour v2.safetensors", 0.8), ("8bit.safetensors", 1)))
    draft = taken.config["slots"]["loras"]
    assert draft["default"] == "water_colour_v2:0.8, l_8bit:1"
    assert draft["set"] == {"66": "model"}
    assert draft["loras"]["water_colour_v2"] == {
        "file": "art/Water Colour v2.safetensors",
        "strength": 0.8,
    }
    assert taken.graph["66"]["inputs"]["model"] == ["37", 0]
    assert "LoraLoaderModelOnly" not in taken.graph_text


@pytest.mark.parametrize("strength", [-1.0, 3.0])
def test_loras_of_unusual_strength_stay_in_the_graph(strength: float) -> None:
    taken = imported(with_loras(("a.safetensors", strength)))
    assert "loras" not in taken.config["slots"]
    assert "LoraLoaderModelOnly" in taken.graph_text
    assert any("out of bounds" in note for note in taken.notes)


def test_two_chains_of_loras_stay_in_the_graph() -> None:
    taken = imported(graph("wan22_i2v_video"))
    assert "loras" not in taken.config["slots"]
    assert any("2 chains" in note for note in taken.notes)


def test_a_switch_is_taken_as_it_stands() -> None:
    found = graph(n3={"positive": ["90", 0]})
    inputs = {"switch": ["91", 0], "on_true": ["16", 0], "on_false": ["40", 0]}
    found["90"] = {"class_type": "ComfySwitchNode", "inputs": inputs}
    found["91"] = {"class_type": "PrimitiveBoolean", "inputs": {"value": True}}
    taken = imported(found)
    assert taken.config["slots"]["prompt"]["set"] == {"16": "text"}
    assert taken.graph["3"]["inputs"]["positive"] == ["16", 0]
    assert "90" not in taken.graph


def test_what_the_output_does_not_need_is_left_out_and_told() -> None:
    found = graph()
    found["90"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    taken = imported(found)
    assert "90" not in taken.graph
    assert taken.notes == ("left out, the output does not need them: 90 (PreviewImage)",)


def test_batch_and_prefix_are_ours() -> None:
    taken = imported(graph(n53={"batch_size": 4}, n9={"filename_prefix": "/etc/evil"}))
    assert taken.graph["53"]["inputs"]["batch_size"] == 1
    assert taken.graph["9"]["inputs"]["filename_prefix"] == "artlab"
    assert "53.batch_size is 1 now: one output per config" in taken.notes


def test_a_node_outside_the_allow_list_is_refused_by_name() -> None:
    found = graph()
    found["16"]["class_type"] = "PythonExec"
    found["40"]["class_type"] = "ShellCommand"
    assert set(refused(found)) == {
        "node 40: ShellCommand is not an allowed node",
        "node 16: PythonExec is not an allowed node",
    }


def test_a_node_outside_the_allow_list_is_refused_in_the_editors_format_too() -> None:
    document = editor_document(graph(), nodes().definitions)
    next(node for node in document["nodes"] if node["id"] == 16)["type"] = "PythonExec"
    assert refused(document) == ("node 16: PythonExec is not allowed",)


def test_an_allowed_node_without_definition_is_refused_until_it_has_one() -> None:
    definitions = {n: one for n, one in nodes().definitions.items() if n != "KSampler"}
    with pytest.raises(ImportRefused) as caught:
        import_workflow(graph(), "mine", ComfyNodes(nodes().allowed, definitions))
    assert caught.value.reasons == ("node 3: there is no definition of KSampler here",)


def two_savers() -> dict[str, Any]:
    found = graph()
    found["10"] = copy.deepcopy(found["9"])
    return found


def test_of_several_savers_one_must_be_chosen() -> None:
    assert refused(two_savers()) == (
        "several nodes save: choose one of 9 (SaveImage), 10 (SaveImage)",
    )
    assert imported(two_savers(), output_node="10").config["workflow"]["output_node"] == "10"
    assert refused(two_savers(), output_node="8") == ("8 is no node that saves an output",)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "there is no node in it"),
        ({}, "there is no node in it"),
        ("text", "there is no node in it"),
        (None, "there is no node in it"),
        ({"a": 1}, "a is no node"),
        ({"1": {"class_type": "KSampler"}}, "1 is no node"),
        ({"nodes": [{}], "links": []}, "in the editor's format, and this is not"),
        ({"nodes": [], "links": []}, "there is no node in it"),
        ({k: v for k, v in graph().items() if k != "9"}, "no allowed node saves an output"),
    ],
)
def test_what_is_no_workflow_is_refused_with_the_reason(document: Any, reason: str) -> None:
    assert refused(document)[0].startswith(reason)


def test_a_graph_that_takes_no_prompt_is_refused() -> None:
    found = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
        },
        "2": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 0], "filename_prefix": "x"},
        },
    }
    assert refused(found) == (
        "no text leads to a sampler: nothing would take the prompt",
        "nothing takes a seed",
    )


def test_a_graph_with_defects_is_refused_with_all_of_them() -> None:
    reasons = refused(graph(n3={"scheduler": "bogus"}, n8={"vae": ["16", 0]}))
    assert len(reasons) >= 2
    assert any("8.inputs.vae" in reason for reason in reasons)


def test_values_beyond_what_a_config_may_offer_stay_fixed_and_are_told() -> None:
    taken = imported(graph(n53={"width": 4096}, n3={"steps": 500}))
    assert not {"width", "steps"} & set(taken.config["slots"])
    assert "width stays 4096: a config offers 256 to 2048" in taken.notes
    assert "steps stays 500: a config offers 1 to 150" in taken.notes


JUNK: list[Any] = [None, 7, -1, 2**70, 1.5, float("nan"), "", [], {}, ["4", 0], [1], True]


def mutated(document: Any, dice: random.Random) -> Any:
    """The document with one part of it, anywhere, replaced by junk or gone."""
    found = copy.deepcopy(document)
    places: list[tuple[Any, Any]] = []
    place = found
    while isinstance(place, dict | list) and place and (not places or dice.random() > 0.15):
        key = dice.choice(list(place) if isinstance(place, dict) else range(len(place)))
        places.append((place, key))
        place = place[key]
    container, key = dice.choice(places)
    if dice.random() < 0.3:
        del container[key]
    else:
        container[key] = copy.deepcopy(dice.choice(JUNK))
    return found


@pytest.mark.parametrize("as_editor", [False, True])
@pytest.mark.parametrize("name", COMFY)
def test_whatever_is_broken_in_a_file_it_is_taken_or_refused(name: str, as_editor: bool) -> None:
    document: Any = graph(name)
    if as_editor:
        document = editor_document(document, nodes().definitions)
    dice = random.Random(name)
    reasons: list[str] = []
    for _ in range(40):
        broken = mutated(mutated(document, dice), dice)
        try:
            imported(broken)
        except ImportRefused as refusal:
            reasons += refusal.reasons
    assert reasons
    assert all(reasons)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(value: float) -> None:
    assert any("NaN and Infinity" in reason for reason in refused(graph(n3={"cfg": value})))


def test_loras_linked_to_no_model_stay_and_are_refused_by_the_check() -> None:
    found = with_loras(("a.safetensors", 1.0))
    del found["70"]["inputs"]["model"]
    assert refused(found) == ("mine.json: 70.inputs.model: missing",)


def test_the_wrapping_of_a_submitted_prompt_is_taken_off() -> None:
    assert slots({"prompt": graph(), "client_id": "x"}) == slots(graph())
