"""What a request gives to the slots of its outputs: pictures, and values by name. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from services.kit.errors import InvalidArgument
from services.orchestrator.domain.run import OutputOffer

# Of all texts for slots together; the plan of a run is recorded in 256 KiB.
MAX_TEXT_BYTES = 96 * 1024
# A JSON scalar.
Value = bool | int | float | str


def check_images(count: int, offers: Sequence[OutputOffer]) -> None:
    """Raise InvalidArgument INPUT_IMAGES_REQUIRED unless every picture asked for is brought.

    A picture that no output takes is refused as well: what nobody needs is not to be sent.
    """
    needed = max(len(offer.image_slots) for offer in offers)
    if count != needed:
        raise InvalidArgument(
            "INPUT_IMAGES_REQUIRED",
            f"these outputs take {needed or 'no'} {'picture' if needed == 1 else 'pictures'}, and"
            f" {count or 'none'} {'is' if count == 1 else 'are'} brought",
            field="input_images",
            metadata={"input_images": str(needed)},
        )


def text_slots(parameters: Mapping[str, Value], offer: OutputOffer) -> tuple[str, ...]:
    """Return the names of the values that are texts for a model, sorted.

    Raises InvalidArgument INVALID_PARAMETER for a text slot that is given something else.
    """
    names = []
    for name in sorted(parameters.keys() & set(offer.text_slots)):
        value = parameters[name]
        if not isinstance(value, str):
            raise InvalidArgument("INVALID_PARAMETER", "expected a text", field=_path(name))
        names += [name] if value.strip() else []
    return tuple(names)


def given_to(offer: OutputOffer, parameters: Mapping[str, Value]) -> dict[str, Value]:
    """Return those values that an output has a slot for."""
    return {name: value for name, value in parameters.items() if name in offer.parameters}


def check_known(parameters: Iterable[str], offers: Sequence[OutputOffer]) -> None:
    """Raise InvalidArgument UNKNOWN_PARAMETER for a name that no output knows."""
    known = {name for offer in offers for name in offer.parameters}
    for name in parameters:
        if name not in known:
            raise InvalidArgument(
                "UNKNOWN_PARAMETER", "no output of this run has such a slot", field=_path(name)
            )


def check_bounds(parameters: Mapping[str, Value], offers: Sequence[OutputOffer]) -> None:
    """Raise InvalidArgument INVALID_PARAMETER for a value that an output does not take.

    The metadata say which output, what it takes and what was given.
    """
    for offer in offers:
        for name, value in given_to(offer, parameters).items():
            spec = offer.parameter_specs.get(name)
            if spec is not None and not spec.takes(value):
                expected, given = spec.describe(), json.dumps(value, ensure_ascii=False)[:100]
                raise InvalidArgument(
                    "INVALID_PARAMETER",
                    f"expected {expected} for {offer.name}, not {given}",
                    field=_path(name),
                    metadata={"output_config": offer.name, "expected": expected, "given": given},
                )


def check_size(parameters: Mapping[str, Value]) -> None:
    """Raise InvalidArgument PARAMETERS_TOO_LARGE for more than a plan can keep."""
    texts = (value for value in parameters.values() if isinstance(value, str))
    if sum(len(json.dumps(text, ensure_ascii=False).encode()) for text in texts) > MAX_TEXT_BYTES:
        raise InvalidArgument(
            "PARAMETERS_TOO_LARGE", f"at most {MAX_TEXT_BYTES} bytes in all", field="parameters"
        )


def _path(name: str) -> str:
    return f"parameters.{name}"
