"""Chains of output configs: who takes over when one cannot make it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping

from services.kit.errors import ArtlabError, InvalidArgument, ResourceExhausted, Unavailable
from services.kit.ids import UploadName
from services.media.domain.output_config import OutputConfig, Value

MAX_CHAIN = 8
# Backends that send the prompt out of the house, or may.
OUTSIDE = frozenset(("code", "openai_images", "openrouter", "huggingface", "replicate"))
# What another backend may do better at, beside all that is away or has no room.
_HELPED = frozenset(
    (
        "OUTPUT_NOT_AVAILABLE",
        "OUTPUT_REMOTE",
        "BACKEND_TIMEOUT",
        "BACKEND_NOT_AUTHORIZED",
        "BACKEND_NO_CREDIT",
        "BACKEND_MODEL_MISSING",
        "CODE_EMPTY",
        "CODE_NOT_ALLOWED",
        "CODE_ONLY_THOUGHT",
        "CODE_TRUNCATED",
        "COMFY_MODEL_MISSING",
        "COMFY_NODE_MISSING",
        "COMFY_FORBIDDEN",
        "COMFY_WORKFLOW_UNFIT",
    )
)
# The same everywhere.
_NOT_HELPED = frozenset(("MEDIA_TOO_LARGE", "SPOOL_FULL"))


def chain_of(config: OutputConfig, configs: Mapping[str, OutputConfig]) -> list[OutputConfig]:
    """The config itself, then what takes over, in order: each one's own fallbacks after it."""
    found: dict[str, OutputConfig] = {}

    def add(one: OutputConfig) -> None:
        if one.name not in found:
            found[one.name] = one
            for name in one.fallback:
                add(configs[name])

    add(config)
    return list(found.values())


def check_chains(
    configs: Mapping[str, OutputConfig], known: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield config, field and reason of every chain that cannot hold.

    `known` are the names of all configs, those with defects too.
    """
    for config in configs.values():
        sound = True
        for at, name in enumerate(config.fallback):
            other = configs.get(name)
            reason = None if other is None else _wrong(config, other)
            if other is None and name not in known:
                reason = f"there is no output {name[:64]}"
            if reason is not None:
                yield config.name, f"fallback.{at}", reason
            sound = sound and other is not None
        if not sound:
            continue
        circle = _circle(config, configs)
        if circle:
            yield config.name, "fallback", f"goes in a circle: {' → '.join(circle)}"
        elif _is_whole(config, configs) and len(chain_of(config, configs)) > MAX_CHAIN:
            yield config.name, "fallback", f"at most {MAX_CHAIN} in a chain"


def another_may_help(error: ArtlabError) -> bool:
    """Whether a failure is of this backend and not of what is asked for.

    Not what a filter stops, what somebody cancels, a wrong request, or the end of the time.
    """
    if error.reason in _NOT_HELPED:
        return False
    return isinstance(error, Unavailable | ResourceExhausted) or error.reason in _HELPED


def carried_over(given: Mapping[str, Value], config: OutputConfig) -> dict[str, Value]:
    """The values of a request for another config: what it has and takes, else its defaults."""
    fitting: dict[str, Value] = {}
    for name, value in given.items():
        slot = config.slots.get(name)
        if slot is None:
            continue
        try:
            fitting[name] = slot.parse(value, f"parameters.{name}")
        except InvalidArgument:
            # Its own default is better than a value it was not made for.
            continue
    return config.values(fitting)


def upload_for(upload: UploadName, config: OutputConfig) -> UploadName:
    """The name a config that takes over is known by at its backend.

    One of its own: under the first one's name a backend could find what that one had begun.
    """
    digest = hashlib.sha256(f"{upload} by {config.name}".encode()).hexdigest()[:16]
    return UploadName(upload.run, f"{upload.upload_id[:47]}-{digest}")


def _wrong(config: OutputConfig, other: OutputConfig) -> str | None:
    if other.kind != config.kind:
        return f"{other.name} makes {other.kind}"
    if set(other.image_slots) != set(config.image_slots):
        return f"{other.name} takes other pictures"
    if other.backend in OUTSIDE and config.backend not in OUTSIDE:
        return f"{other.name} sends the text out of the house, and {config.name} does not"
    return None


def _circle(config: OutputConfig, configs: Mapping[str, OutputConfig]) -> list[str]:
    """The way from a config back to itself; empty when there is none."""
    ways = [[config.name, name] for name in config.fallback]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == config.name:
            return way
        other = configs.get(way[-1])
        if other is not None and other.name not in seen:
            seen.add(other.name)
            ways += [[*way, name] for name in other.fallback]
    return []


def _is_whole(config: OutputConfig, configs: Mapping[str, OutputConfig]) -> bool:
    """Whether every config its chain leads to is there."""
    open_names, seen = list(config.fallback), set()
    while open_names:
        name = open_names.pop()
        if name not in configs:
            return False
        if name not in seen:
            seen.add(name)
            open_names += configs[name].fallback
    return True
