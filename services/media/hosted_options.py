"""The options of hosted backends in files of configs/output/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from services.kit.catalogue import Defect
from services.media.backends.hosted.options import HostedOptions
from services.media.backends.huggingface.options import HuggingFaceOptions
from services.media.backends.openai_images.options import OpenAIImagesOptions
from services.media.backends.openrouter.options import OpenRouterOptions
from services.media.backends.replicate.options import ReplicateOptions
from services.media.backends.swarmui.options import SwarmOptions
from services.media.domain.output_config import MediaKind, Slot

HOSTED: Mapping[str, type[HostedOptions]] = {
    "huggingface": HuggingFaceOptions,
    "openai_images": OpenAIImagesOptions,
    "openrouter": OpenRouterOptions,
    "replicate": ReplicateOptions,
    "swarmui": SwarmOptions,
}


def read_options(
    form: type[HostedOptions],
    kind: MediaKind,
    given: Mapping[str, Any] | None,
    slots: Mapping[str, Slot],
    file: str,
    defects: list[Defect],
) -> HostedOptions | None:
    """Return the options of a config; on defects add them to the list and return None."""
    if kind not in form.kinds:
        defects.append(Defect(file, "kind", f"this backend makes {', '.join(form.kinds)}"))
    if given is None:
        defects.append(Defect(file, "options", "missing"))
        return None
    try:
        options = form.model_validate(given)
    except ValidationError as error:
        for found in error.errors(include_input=False, include_url=False):
            field = ".".join(("options", *(str(part) for part in found["loc"])))
            defects.append(Defect(file, field, found["msg"]))
        return None
    for name, reason in options.wrong_slots(slots):
        defects.append(Defect(file, f"slots.{name}", reason))
    return options
