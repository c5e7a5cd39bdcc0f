"""What decides the bytes of an output, as one digest: equal digests, equal outputs. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass

from services.media.domain.output_config import OutputConfig, Value

# Another number when the renderers of this service draw otherwise than before.
VERSION = 1


def render_digest(
    config: OutputConfig,
    *,
    prompt: str,
    seed: int,
    recipe: str,
    values: Mapping[str, Value],
    images: Mapping[str, str],
) -> str:
    """Return SHA-256 in hex over everything that decides the bytes.

    The workflow or other options of the config with all they contain, the prompt, the seed, the
    recipe, every slot's value and, by slot, the SHA-256 of the pictures. How an instance is
    stocked is not known: model files of one name count as one.
    """
    facts = [
        VERSION,
        config.kind,
        config.backend,
        config.keep_metadata,
        _plain(config.backend_options),
        prompt,
        seed,
        recipe,
        _plain(values),
        _plain(images),
    ]
    form = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(form.encode()).hexdigest()


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        # What stays out of a repr is not its own, like the nodes an installation allows.
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value) if one.repr}
    if isinstance(value, Mapping):
        return {str(key): _plain(found) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(found) for found in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Set):
        return sorted(str(found) for found in value)
    # The options of a backend: what they tell of themselves.
    own = getattr(value, "__dict__", None)
    return [type(value).__name__, str(value) if own is None else _plain(own)]
