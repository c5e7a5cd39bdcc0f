"""Slots of an imported workflow: names, kinds, bounds and defaults that fit its inputs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from services.media.domain.graph import Node, link_of, links_of
from services.media.domain.node_definition import InputDefinition
from services.media.domain.slot_inputs import Found, SlotInputs
from services.media.domain.standard_slot import STANDARD_SLOTS, USUAL_CHOICES
from services.media.domain.workflow import LORA_LOADER

# What a config offers unless its own value needs more.
_USUAL_MAXIMUM = {"steps": 60, "cfg": 15, "frames": 257, "fps": 60, "seconds": 240}
_USUAL_MINIMUM = {"width": 256, "height": 256}
_SIZE_STEP_PIXELS = 16
_LORA_MAXIMUM = 1.5
_PLAIN_ORDER = (
    *("lyrics", "width", "height", "frames", "fps", "seconds"),
    *("steps", "cfg", "guidance", "denoise", "sampler", "scheduler"),
)

Draft = dict[str, Any]


def draft_slots(inputs: SlotInputs, notes: list[str]) -> dict[str, Draft]:
    """Return the slots as a config writes them; add to `notes` what stays as it is, and why."""
    slots: dict[str, Draft] = {}
    prompt, negative = inputs.texts()
    named = inputs.named()
    if prompt:
        slots["prompt"] = {"set": _set(prompt)}
    if "seed" in named:
        slots["seed"] = {"set": _set(named["seed"])}
    for number, found in enumerate(inputs.pictures(), 1):
        name = "input_image" if number == 1 else f"input_image_{number}"
        slots[name] = {"kind": "image", "set": _set([found])}
    if negative:
        slots["negative_prompt"] = _text(negative, notes, "negative_prompt")
    parts = inputs.parts_of_steps()
    for name in _PLAIN_ORDER:
        # Without a picture to begin with, less than all of the noise leaves noise in the output.
        if name not in named or (name == "denoise" and "input_image" not in slots):
            continue
        if name in ("steps", "denoise") and parts:
            shares = ", ".join(parts)
            notes.append(f"{name} stays as it is: {shares} make a share of the steps each")
            continue
        draft = _slot(name, named[name], notes)
        if draft is not None:
            slots[name] = draft
    return slots


def draft_loras(nodes: dict[str, Node], notes: list[str]) -> Draft | None:
    """Take the one chain of LoRAs out of `nodes` and return it as a slot; None if there is none.

    Several chains, as a workflow with two models has, stay in the graph.
    """
    loaders = [key for key, node in nodes.items() if node.class_type == LORA_LOADER]
    if any(node.class_type == "LoraLoader" for node in nodes.values()):
        notes.append("LoRAs of LoraLoader stay in the graph: they change the text encoder too")
    first = [key for key in loaders if _behind(nodes, key) not in loaders]
    if not loaders:
        return None
    if len(first) > 1:
        notes.append(f"LoRAs stay in the graph: there are {len(first)} chains of them")
        return None
    chain = first
    while following := [key for key in loaders if _behind(nodes, key) == chain[-1]]:
        if len(following) > 1:
            notes.append("LoRAs stay in the graph: their chain parts")
            return None
        chain += following
    loras: dict[str, Draft] = {}
    for key in chain:
        file, strength = nodes[key].inputs.get("lora_name"), nodes[key].inputs.get("strength_model")
        if not isinstance(file, str) or not isinstance(strength, int | float):
            notes.append("LoRAs stay in the graph: another node chooses them")
            return None
        if not 0 <= strength <= STANDARD_SLOTS["loras"].maximum:  # type: ignore[operator]
            notes.append(f"LoRAs stay in the graph: the strength {strength:g} is out of bounds")
            return None
        loras[_lora_name(file, loras)] = {"file": file, "strength": round(float(strength), 4)}
    source = nodes[chain[0]].inputs.get("model")
    if source is None:
        notes.append("LoRAs stay in the graph: they are linked to no model")
        return None
    targets = _unlink(nodes, chain, source)
    most = max(_LORA_MAXIMUM, *(lora["strength"] for lora in loras.values()))
    return {
        "kind": "loras",
        "default": ", ".join(f"{name}:{lora['strength']:g}" for name, lora in loras.items()),
        "minimum": 0,
        "maximum": most,
        "at_most": len(loras),
        "loras": loras,
        "set": targets,
    }


def _unlink(nodes: dict[str, Node], chain: list[str], source: object) -> dict[str, str]:
    targets: dict[str, str] = {}
    for key, node in list(nodes.items()):
        if key in chain:
            continue
        relinked = {name: source for name, (origin, _) in links_of(node) if origin in chain}
        if relinked:
            nodes[key] = Node(node.class_type, {**node.inputs, **relinked})
            targets[key] = next(iter(relinked))
    for key in chain:
        del nodes[key]
    return targets


def _behind(nodes: Mapping[str, Node], key: str) -> str | None:
    link = link_of(nodes[key].inputs.get("model"))
    return None if link is None else link[0]


def _lora_name(file: str, taken: Iterable[str]) -> str:
    stem = file.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or file
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:36] or "lora"
    name = name if name[0].isalpha() else f"l_{name}"[:36]
    number = 1
    while name in taken:
        number += 1
        name = f"{name[:36]}_{number}"
    return name


def _set(found: Iterable[Found]) -> dict[str, str]:
    return {one.target.node: one.target.input for one in found}


def _alike(name: str, found: list[Found], notes: list[str]) -> list[Found]:
    """Those with the value of the first; and a slot sets one input of a node."""
    first = found[0]
    alike = {first.target.node: first}
    for one in found[1:]:
        if one.value == first.value and one.target.node not in alike:
            alike[one.target.node] = one
        elif one.target != first.target:
            where = f"{one.target.node}.{one.target.input}"
            notes.append(f"{where} stays {one.value}: not set by slot {name}")
    return list(alike.values())


def _text(found: list[Found], notes: list[str], name: str) -> Draft:
    alike = _alike(name, found, notes)
    return {"kind": "text", "default": str(alike[0].value), "set": _set(alike)}


def _slot(name: str, found: list[Found], notes: list[str]) -> Draft | None:
    alike = _alike(name, found, notes)
    value, specs = alike[0].value, [one.spec for one in alike]
    if name == "lyrics":
        return _text(found, [], name)
    if name in USUAL_CHOICES:
        return _choice(name, str(value), specs, alike)
    if isinstance(value, bool) or not isinstance(value, int | float):
        notes.append(f"{name} stays as it is: {value!r:.40} is no number")
        return None
    whole = all(spec.type == "INT" for spec in specs)
    whole = whole or (name == "fps" and float(value).is_integer())
    low, high = _bounds(name, value, specs)
    if not low <= value <= high:
        notes.append(f"{name} stays {value}: a config offers {low:g} to {high:g}")
        return None
    draft: Draft = {"kind": "integer" if whole else "number"}
    draft["default"] = int(value) if whole else round(float(value), 6)
    step, remainder = _steps(name, specs, int(value)) if whole else (1, 0)
    if whole:
        low += (remainder - low) % step
        high -= (high - remainder) % step
    draft["minimum"], draft["maximum"] = (int(low), int(high)) if whole else (low, high)
    if step > 1:
        draft["multiple_of"] = step
    if remainder:
        draft["remainder"] = remainder
    return {**draft, "set": _set(alike)}


def _choice(name: str, value: str, specs: list[InputDefinition], alike: list[Found]) -> Draft:
    known = [spec.choices for spec in specs if spec.choices is not None]
    choices = [one for one in USUAL_CHOICES[name] if all(one in found for found in known)]
    choices = choices if value in choices else [value, *choices]
    return {"kind": "choice", "default": value, "choices": choices, "set": _set(alike)}


def _bounds(name: str, value: float, specs: list[InputDefinition]) -> tuple[float, float]:
    standard = STANDARD_SLOTS[name]
    low, high = standard.minimum or 0, standard.maximum or value
    low = max(low, min(value, _USUAL_MINIMUM.get(name, low)))
    high = min(high, max(value, _USUAL_MAXIMUM.get(name, high)))
    for spec in specs:
        low = low if spec.minimum is None else max(low, spec.minimum)
        high = high if spec.maximum is None else min(high, spec.maximum)
    return low, high


def _steps(name: str, specs: list[InputDefinition], value: int) -> tuple[int, int]:
    """In which steps the value goes, and what remains: 121 frames are 15 times 8 and one."""
    if name not in ("width", "height", "frames"):
        return 1, 0
    step = max([1, *(int(spec.step) for spec in specs if spec.step)])
    if name != "frames":
        step = max(step, _SIZE_STEP_PIXELS)
        return (step, 0) if value % step == 0 else (1, 0)
    return (step, value % step) if step > 1 else (1, 0)
