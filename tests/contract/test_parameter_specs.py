"""What media tells of its slots, and what the orchestrator refuses by it before a run begins."""

from __future__ import annotations

import orjson
import pytest

from artlab.media.v1 import media_pb2
from services.kit.catalogue import CONFIGS
from services.kit.errors import InvalidArgument
from services.media.catalogue import load_output_catalogue
from services.media.domain.lora import Lora
from services.media.domain.output_config import Slot, SlotKind
from services.media.translate import parameter_spec
from services.orchestrator.clients.media import read_parameter_spec
from services.orchestrator.domain.parameter import ParameterSpec
from services.orchestrator.domain.run import OutputOffer
from services.orchestrator.domain.slots import check_bounds

SHIPPED = [
    pytest.param(slot, id=f"{config.name}-{slot.name}")
    for config in load_output_catalogue(CONFIGS).configs.values()
    for slot in config.slots.values()
    if slot.kind != "image"
]
LORAS = {"watercolour": Lora("w.safetensors", 0.8), "lineart": Lora("l.safetensors")}
OURS = [
    Slot("frames", "integer", 121, 9, 257, multiple_of=8, remainder=1),
    Slot("cfg", "number", 1.5, 0.0, 30.0),
    Slot("style", "choice", "loud", choices=("loud", "quiet")),
    Slot("tiled", "boolean", False),
    Slot("negative", "text", ""),
    Slot("loras", "loras", "", -2.0, 2.0, loras=LORAS, at_most=1),
]
VALUES: list[bool | int | float | str] = [
    True, False, 0, 1, -1, 8, 9, 16, 63, 64, 65, 121, 122, 129, 257, 265, 1024, 2049, 10**30,
    0.0, 1.5, 30.0, 30.5, -0.5, 128.0, 1e300, "", " ", "loud", "quiet", "LOUD", "1", "x" * 2000,
    "x" * 2001, "watercolour", "watercolour:0.5", "watercolour:2.5", "watercolour:",
    "watercolour:x", "watercolour,lineart", "lineart, lineart", "lineart:nan",
    "lineart:inf", "oil", ",", "lineart,",
]  # fmt: skip


def told(slot: Slot) -> ParameterSpec:
    """A slot as the orchestrator knows it, over the wire."""
    message = media_pb2.ParameterSpec.FromString(parameter_spec(slot).SerializeToString())
    assert orjson.loads(message.default_value) == slot.default
    return read_parameter_spec(message)


def is_taken_by_media(slot: Slot, value: bool | int | float | str) -> bool:
    try:
        slot.parse(value, "parameters.x")
    except InvalidArgument:
        return False
    return True


@pytest.mark.parametrize("slot", [*OURS, *SHIPPED])
def test_the_orchestrator_takes_what_media_takes(slot: Slot) -> None:
    spec = told(slot)
    own = [slot.minimum, slot.maximum, *slot.choices, *slot.loras, slot.default]
    bounds: list[bool | int | float | str] = []
    for one in own:
        if isinstance(one, str):
            bounds.append(one)
        elif one is not None:
            bounds += [one, int(one), int(one) - 1, int(one) + 1]
    for value in [*VALUES, *bounds]:
        assert spec.takes(value) == is_taken_by_media(slot, value), value
    assert spec.takes(slot.default)


@pytest.mark.parametrize("slot", OURS, ids=lambda slot: slot.name)
def test_both_say_the_same_about_what_is_expected(slot: Slot) -> None:
    # How to write loras is said by media alone, with an example.
    if slot.kind == "loras":
        assert told(slot).describe() in slot.describe()
    elif slot.kind != "boolean":
        assert told(slot).describe() == slot.describe()


def test_a_refusal_names_the_parameter_the_bound_and_the_value() -> None:
    spec = told(Slot("width", "integer", 1024, 64, 2048, multiple_of=16))
    offers = [
        OutputOffer(name, "image", True, parameters=("width",), parameter_specs=specs)
        for name, specs in {"any": {}, "flux2": {"width": spec}}.items()
    ]
    check_bounds({"width": 128, "steps": "unknown elsewhere"}, offers)
    with pytest.raises(InvalidArgument) as caught:
        check_bounds({"width": 4096}, offers)
    error = caught.value
    assert (error.reason, error.field) == ("INVALID_PARAMETER", "parameters.width")
    expected = "integer from 64 to 2048, a multiple of 16"
    assert error.message == f"expected {expected} for flux2, not 4096"
    assert error.metadata == {"output_config": "flux2", "expected": expected, "given": "4096"}


def test_a_kind_from_the_future_is_left_to_media() -> None:
    assert read_parameter_spec(media_pb2.ParameterSpec(name="x", kind=99)).takes("anything")  # type: ignore[arg-type]


def test_every_kind_of_slot_has_its_word() -> None:
    kinds: tuple[SlotKind, ...] = ("integer", "number", "choice", "text", "boolean", "loras")
    assert {one.kind for one in OURS} == set(kinds)
    assert [told(one).kind for one in OURS] == [one.kind for one in OURS]
