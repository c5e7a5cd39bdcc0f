"""Slots of output configs: what a request may say."""

from __future__ import annotations

import pytest

from services.kit.errors import InvalidArgument
from services.media.domain.output_config import OutputConfig, Slot

WIDTH = Slot("width", "integer", 1024, minimum=256, maximum=2048, multiple_of=16)
CFG = Slot("cfg", "number", 5.5, minimum=1, maximum=15)
SAMPLER = Slot("sampler", "choice", "euler", choices=("euler", "heun"))
NEGATIVE = Slot("negative_prompt", "text", "")
CONFIG = OutputConfig(
    name="test",
    kind="image",
    backend="comfyui",
    title={"en": "Test", "de": "Test"},
    slots={slot.name: slot for slot in (WIDTH, CFG, SAMPLER, NEGATIVE)},
)


def test_what_is_not_said_is_the_default() -> None:
    assert CONFIG.values({"width": 512}) == {
        "width": 512,
        "cfg": 5.5,
        "sampler": "euler",
        "negative_prompt": "",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 100_000),
        ("width", 240),
        ("width", 1000),
        ("width", 1024.0),
        ("width", "1024"),
        ("width", True),
        ("cfg", float("nan")),
        ("cfg", float("inf")),
        ("cfg", 0.5),
        ("cfg", None),
        ("sampler", "bogus"),
        ("sampler", 1),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_field(name: str, value: object) -> None:
    with pytest.raises(InvalidArgument) as caught:
        CONFIG.values({name: value})
    assert (caught.value.reason, caught.value.field) == ("INVALID_PARAMETER", f"parameters.{name}")


def test_the_message_tells_the_bounds() -> None:
    with pytest.raises(InvalidArgument) as caught:
        CONFIG.values({"width": 1000})
    assert caught.value.message == "expected integer from 256 to 2048, a multiple of 16"


@pytest.mark.parametrize("name", ["ckpt_name", "batch_size", "prompt", "seed"])
def test_a_parameter_nobody_declared_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        CONFIG.values({name: 1})
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_PARAMETER", f"parameters.{name}")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * 2_001, "INVALID_PARAMETER"),
        (7, "INVALID_PARAMETER"),
        ("a\0b", "INVALID_CHARACTER"),
        ("\ud800", "INVALID_UNICODE"),
    ],
)
def test_a_text_is_parsed_as_every_text_is(value: object, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        CONFIG.values({"negative_prompt": value})
    assert (caught.value.reason, caught.value.field) == (reason, "parameters.negative_prompt")
