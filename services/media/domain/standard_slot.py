"""Slots that mean the same in every output config, and how far any of them may go. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.media.domain.output_config import Slot, SlotKind


@dataclass(frozen=True, slots=True)
class StandardSlot:
    """What a slot of this name must be; bounds are the widest a config may offer."""

    kinds: tuple[SlotKind, ...]
    minimum: float | None = None
    maximum: float | None = None


# 2048² is 4.2 megapixels: more needs more memory than the cards of a workshop have.
MAX_SIDE_PIXELS = 2048

STANDARD_SLOTS: Mapping[str, StandardSlot] = {
    "negative_prompt": StandardSlot(("text",)),
    "lyrics": StandardSlot(("text",)),
    "width": StandardSlot(("integer",), 16, MAX_SIDE_PIXELS),
    "height": StandardSlot(("integer",), 16, MAX_SIDE_PIXELS),
    "steps": StandardSlot(("integer",), 1, 150),
    "cfg": StandardSlot(("number",), 0, 30),
    "guidance": StandardSlot(("number",), 0, 30),
    "sampler": StandardSlot(("choice",)),
    "scheduler": StandardSlot(("choice",)),
    "denoise": StandardSlot(("number",), 0, 1),
    "frames": StandardSlot(("integer",), 1, 1025),
    "fps": StandardSlot(("integer", "number"), 1, 60),
    "seconds": StandardSlot(("integer", "number"), 1, 600),
    "input_image": StandardSlot(("image",)),
    "loras": StandardSlot(("loras",), 0, 2),
}

# What is worth offering: the many others differ in little that people see.
USUAL_CHOICES: Mapping[str, tuple[str, ...]] = {
    "sampler": (
        "euler",
        "euler_ancestral",
        "heun",
        "dpmpp_2m",
        "dpmpp_2m_sde",
        "dpmpp_sde",
        "ddim",
        "uni_pc",
        "res_multistep",
    ),
    "scheduler": ("simple", "normal", "sgm_uniform", "karras", "exponential", "beta"),
}


def check_standard(slot: Slot) -> tuple[str, str] | None:
    """Return what is wrong with a slot of a standard name, as part of it and reason."""
    standard = STANDARD_SLOTS.get(slot.name)
    if standard is None:
        return None
    if slot.kind not in standard.kinds:
        return "kind", f"a slot of this name is of kind {' or '.join(standard.kinds)}"
    if standard.minimum is not None and (slot.minimum is None or slot.minimum < standard.minimum):
        return "minimum", f"at least {standard.minimum:g}"
    if standard.maximum is not None and (slot.maximum is None or slot.maximum > standard.maximum):
        return "maximum", f"at most {standard.maximum:g}"
    return None
