"""Definitions of the nodes the fake knows, in the format of ComfyUI's /object_info.

They are those the project ships, which a test compares with a real ComfyUI's, and a few more that
no workflow of ours may use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.kit.catalogue import CONFIGS

# What a well-stocked machine has in its model folders.
MODELS: Mapping[str, Sequence[str]] = {
    "ckpt_name": [
        "ace_step_v1_3.5b.safetensors",
        "ltx-video-2b-v0.9.safetensors",
        "sd3.5_large.safetensors",
        "sd3.5_large_turbo.safetensors",
        "stable-audio-open-1.0.safetensors",
    ],
    "unet_name": [
        "flux2_dev_fp8mixed.safetensors",
        "qwen_image_edit_2509_fp8_e4m3fn.safetensors",
        "qwen_image_fp8_e4m3fn.safetensors",
        "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors",
        "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors",
        "wan2.2_ti2v_5B_fp16.safetensors",
    ],
    "clip_name": [
        "clip_g.safetensors",
        "clip_l.safetensors",
        "mistral_3_small_flux2_bf16.safetensors",
        "qwen_2.5_vl_7b_fp8_scaled.safetensors",
        "t5-base.safetensors",
        "t5xxl_fp16.safetensors",
        "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    ],
    "vae_name": [
        "flux2-vae.safetensors",
        "pixel_space",
        "qwen_image_vae.safetensors",
        "wan2.2_vae.safetensors",
        "wan_2.1_vae.safetensors",
    ],
    "lora_name": [
        "Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors",
        "Qwen-Image-Lightning-8steps-V1.0.safetensors",
        "wan2.2_i2v_lightx2v_4steps_lora_v1_high_noise.safetensors",
        "wan2.2_i2v_lightx2v_4steps_lora_v1_low_noise.safetensors",
    ],
}
# Written the newer way, ["COMBO", {"options": [...]}]; all others the older, [[...], {}].
_NEWER = ("CLIPLoader", "SaveVideo", "SaveAudioMP3", "SaveAudioOpus")


def _node(
    name: str, required: Mapping[str, Any], outputs: Sequence[str], *, saves: bool = False
) -> dict[str, Any]:
    return {
        "input": {"required": dict(required)},
        "output": list(outputs),
        "output_name": list(outputs),
        "output_node": saves,
        "name": name,
    }


def _foreign() -> dict[str, dict[str, Any]]:
    transfer = {
        "image_target": ["IMAGE", {}],
        "image_ref": ["IMAGE", {}],
        "method": [["reinhard_lab", "mkl_lab", "histogram"], {}],
        "source_stats": ["COMFY_DYNAMICCOMBO_V3", {}],
        "strength": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0}],
    }
    nodes = [
        _node("ColorTransfer", transfer, ["IMAGE"]),
        _node("PreviewImage", {"images": ["IMAGE", {}]}, ["IMAGE"], saves=True),
    ]
    return {node["name"]: node for node in nodes}


def node_table(models: Mapping[str, Sequence[str]] = MODELS) -> dict[str, dict[str, Any]]:
    """Return the definitions with these model files in the loaders' lists."""
    shipped = json.loads((CONFIGS / "comfyui" / "node_definitions.json").read_bytes())
    table: dict[str, dict[str, Any]] = {name: _older(name, node) for name, node in shipped.items()}
    return _stocked(table | _foreign(), models)


def _older(name: str, node: dict[str, Any]) -> dict[str, Any]:
    groups = {
        group: {
            key: _spec(spec[0], spec[1] if len(spec) > 1 else {}, newer=name in _NEWER)
            for key, spec in inputs.items()
        }
        for group, inputs in node["input"].items()
    }
    order = {group: list(inputs) for group, inputs in groups.items()}
    return {**node, "input": groups, "input_order": order, "name": name}


def _spec(kind: str, options: Mapping[str, Any], *, newer: bool) -> list[Any]:
    if kind != "COMBO":
        return [kind, dict(options)]
    rest = {key: value for key, value in options.items() if key not in ("options", "type")}
    values = list(options.get("options", []))
    return ["COMBO", {**rest, "options": values}] if newer else [values, rest]


def real_nodes(
    path: Path, models: Mapping[str, Sequence[str]] = MODELS
) -> dict[str, dict[str, Any]]:
    """Return the definitions of a condensed /object_info file, in ComfyUI's own format."""
    table: dict[str, dict[str, Any]] = {}
    for name, node in json.loads(path.read_bytes()).items():
        groups = {
            group: {
                key: _spec(spec["type"], {**spec}, newer=name in _NEWER)
                for key, spec in inputs.items()
            }
            for group, inputs in node["inputs"].items()
        }
        # What the condensed file does not keep: a picture is sent for it.
        if name == "LoadImage":
            groups["required"]["image"][1]["image_upload"] = True
        table[name] = {
            "input": groups,
            "output": [found["type"] for found in node["outputs"]],
            "output_name": [found["name"] for found in node["outputs"]],
            "output_node": node["output_node"],
            "name": name,
        }
    return _stocked(table, models)


def _stocked(
    table: dict[str, dict[str, Any]], models: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    for node in table.values():
        for name, spec in node["input"].get("required", {}).items():
            names = models.get(name.rstrip("123"))
            if names is not None and spec[0] == "COMBO":
                spec[1]["options"] = list(names)
            elif names is not None and isinstance(spec[0], list):
                spec[0] = list(names)
    return table
