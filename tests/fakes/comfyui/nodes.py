"""Definitions of the nodes the fake knows, in the format of ComfyUI's /object_info.

Few, written by hand, and compared by a test with those of a real ComfyUI where they are at hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SAMPLERS = ["euler", "euler_ancestral", "heun", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_sde", "ddim"]
SAMPLERS += ["uni_pc", "res_multistep"]
SCHEDULERS = ["simple", "sgm_uniform", "karras", "exponential", "normal", "beta"]
CLIP_TYPES = ["stable_diffusion", "sd3", "qwen_image", "flux2"]
DTYPES = ["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"]

# What a well-stocked machine has in its model folders.
MODELS: Mapping[str, Sequence[str]] = {
    "ckpt_name": ["sd3.5_large.safetensors"],
    "unet_name": ["flux2_dev_fp8mixed.safetensors", "qwen_image_fp8_e4m3fn.safetensors"],
    "clip_name": [
        "clip_g.safetensors",
        "clip_l.safetensors",
        "mistral_3_small_flux2_bf16.safetensors",
        "qwen_2.5_vl_7b_fp8_scaled.safetensors",
        "t5xxl_fp16.safetensors",
    ],
    "vae_name": ["flux2-vae.safetensors", "pixel_space", "qwen_image_vae.safetensors"],
}


def _integer(low: int, high: int, default: int = 0) -> list[Any]:
    return ["INT", {"default": default, "min": low, "max": high}]


def _number(low: float, high: float, default: float = 1.0) -> list[Any]:
    return ["FLOAT", {"default": default, "min": low, "max": high}]


def _size() -> dict[str, Any]:
    return {
        "width": _integer(16, 16384, 1024),
        "height": _integer(16, 16384, 1024),
        "batch_size": _integer(1, 4096, 1),
    }


_SEED = _integer(0, 18446744073709551615)


def _node(
    name: str,
    required: Mapping[str, Any],
    outputs: Sequence[str],
    *,
    optional: Mapping[str, Any] | None = None,
    saves: bool = False,
) -> dict[str, Any]:
    groups: dict[str, Any] = {"required": dict(required)}
    if optional:
        groups["optional"] = dict(optional)
    return {
        "input": groups,
        "input_order": {group: list(found) for group, found in groups.items()},
        "output": list(outputs),
        "output_name": list(outputs),
        "name": name,
        "display_name": name,
        "category": "fake",
        "output_node": saves,
    }


def _table() -> dict[str, dict[str, Any]]:
    clip: dict[str, Any] = {f"clip_name{number}": [[], {}] for number in (1, 2, 3)}
    sampler = {
        "model": ["MODEL", {}],
        "seed": _SEED,
        "steps": _integer(1, 10000, 20),
        "cfg": _number(0.0, 100.0, 8.0),
        "sampler_name": [SAMPLERS, {}],
        "scheduler": [SCHEDULERS, {}],
        "positive": ["CONDITIONING", {}],
        "negative": ["CONDITIONING", {}],
        "latent_image": ["LATENT", {}],
        "denoise": _number(0.0, 1.0),
    }
    advanced = {
        "noise": ["NOISE", {}],
        "guider": ["GUIDER", {}],
        "sampler": ["SAMPLER", {}],
        "sigmas": ["SIGMAS", {}],
        "latent_image": ["LATENT", {}],
    }
    shift = {"model": ["MODEL", {}], "shift": _number(0.0, 100.0, 3.0)}
    flux2 = {
        "steps": _integer(1, 4096, 20),
        "width": _integer(16, 16384, 1024),
        "height": _integer(16, 16384, 1024),
    }
    empty = {
        "width": _integer(1, 16384, 512),
        "height": _integer(1, 16384, 512),
        "batch_size": _integer(1, 4096, 1),
        "color": _integer(0, 0xFFFFFF),
    }
    blur = {
        "image": ["IMAGE", {}],
        "blur_radius": _integer(1, 31, 1),
        "sigma": _number(0.1, 10.0),
    }
    transfer = {
        "image_target": ["IMAGE", {}],
        "image_ref": ["IMAGE", {}],
        "method": [["reinhard_lab", "mkl_lab", "histogram"], {}],
        "source_stats": ["COMFY_DYNAMICCOMBO_V3", {}],
        "strength": _number(0.0, 10.0),
    }
    save = {"images": ["IMAGE", {}], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}
    text = {"text": ["STRING", {"multiline": True}], "clip": ["CLIP", {}]}
    device = {"device": [["default", "cpu"], {}]}
    nodes = [
        _node("CheckpointLoaderSimple", {"ckpt_name": [[], {}]}, ["MODEL", "CLIP", "VAE"]),
        _node("UNETLoader", {"unet_name": [[], {}], "weight_dtype": [DTYPES, {}]}, ["MODEL"]),
        _node(
            "CLIPLoader",
            # As newer nodes write their choices.
            {"clip_name": ["COMBO", {"options": []}], "type": [CLIP_TYPES, {}]},
            ["CLIP"],
            optional=device,
        ),
        _node("TripleCLIPLoader", clip, ["CLIP"]),
        _node("VAELoader", {"vae_name": [[], {}]}, ["VAE"]),
        _node("CLIPTextEncode", text, ["CONDITIONING"]),
        _node(
            "FluxGuidance",
            {"conditioning": ["CONDITIONING", {}], "guidance": _number(0.0, 100.0, 3.5)},
            ["CONDITIONING"],
        ),
        _node(
            "BasicGuider",
            {"model": ["MODEL", {}], "conditioning": ["CONDITIONING", {}]},
            ["GUIDER"],
        ),
        _node("RandomNoise", {"noise_seed": _SEED}, ["NOISE"]),
        _node("KSamplerSelect", {"sampler_name": [SAMPLERS, {}]}, ["SAMPLER"]),
        _node("Flux2Scheduler", flux2, ["SIGMAS"]),
        _node("EmptyFlux2LatentImage", _size(), ["LATENT"]),
        _node("EmptySD3LatentImage", _size(), ["LATENT"]),
        _node("ModelSamplingSD3", shift, ["MODEL"]),
        _node("ModelSamplingAuraFlow", shift, ["MODEL"]),
        _node("SamplerCustomAdvanced", advanced, ["LATENT", "LATENT"]),
        _node("KSampler", sampler, ["LATENT"]),
        _node("VAEDecode", {"samples": ["LATENT", {}], "vae": ["VAE", {}]}, ["IMAGE"]),
        _node("EmptyImage", empty, ["IMAGE"]),
        _node("ImageInvert", {"image": ["IMAGE", {}]}, ["IMAGE"]),
        _node("ImageBlur", blur, ["IMAGE"]),
        _node("ColorTransfer", transfer, ["IMAGE"]),
        _node("SaveImage", save, ["IMAGE"], saves=True),
        _node("PreviewImage", {"images": ["IMAGE", {}]}, ["IMAGE"], saves=True),
    ]
    return {node["name"]: node for node in nodes}


def node_table(models: Mapping[str, Sequence[str]] = MODELS) -> dict[str, dict[str, Any]]:
    """Return the definitions with these model files in the loaders' lists."""
    return _stocked(_table(), models)


def real_nodes(
    path: Path, models: Mapping[str, Sequence[str]] = MODELS
) -> dict[str, dict[str, Any]]:
    """Return the definitions of a condensed /object_info file, in ComfyUI's own format."""
    table: dict[str, dict[str, Any]] = {}
    for name, node in json.loads(path.read_bytes()).items():
        groups: dict[str, Any] = {}
        for group, inputs in node["inputs"].items():
            groups[group] = {
                key: [list(spec.get("options", [])), spec]
                if spec["type"] == "COMBO"
                else [spec["type"], spec]
                for key, spec in inputs.items()
            }
        table[name] = {
            "input": groups,
            "output": [found["type"] for found in node["outputs"]],
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
