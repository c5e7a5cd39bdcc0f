"""What a caller asks for, and what is written beside the bytes. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.kit.ids import EntityName, UploadName
from services.media.domain.output_config import Value

MAX_SEED = 2**53 - 1
# The recorder takes 64 keys and 16 KiB; the rest is for what is found out about the bytes.
MAX_METADATA_KEYS = 52
MAX_METADATA_BYTES = 15 * 1024
MAX_VALUE_BYTES = 1024
REQUEST_DIGEST = "request_digest"
RENDER_DIGEST = "render_digest"
# How many files one output has, in the metadata of each, when there are several.
FILES = "files"
MAX_FILES = 64
_MAX_UPLOAD_ID = 64


@dataclass(frozen=True, slots=True)
class MediaRequest:
    """One output to make; every field is parsed. A seed of None means drawn here."""

    upload: UploadName
    output_config: str
    prompt: str
    output_index: int
    seed: int | None
    recipe: str
    parameters: Mapping[str, Value]
    # Whose turn it is when it has to wait; nothing of what is made depends on it.
    user_id: str = ""
    # By image slot.
    input_images: Mapping[str, EntityName] = field(default_factory=dict)
    # Whether an equal output of the same person will do; the answer is as good either way.
    allow_reuse: bool = False
    # Of the caller's claim on the run; 0 is nobody's.
    epoch: int = 0
    # Only take what was made before: nothing is begun.
    adopt_only: bool = False
    # Nothing of it may reach a machine but one's own.
    local_only: bool = False

    def drawn_seed(self) -> int:
        """The seed asked for, or one drawn from the upload's name.

        Its run id is random, and who asks again after a crash gets the seed that the job, taken
        up where it was, was made with.
        """
        if self.seed is not None:
            return self.seed
        drawn = hashlib.sha256(f"seed of {self.upload}".encode()).digest()
        return int.from_bytes(drawn[:8]) % (MAX_SEED + 1)

    def digest(self) -> str:
        """SHA-256 of everything asked for: the same request gives the same, another one another."""
        facts: list[object] = [
            str(self.upload),
            self.output_config,
            self.prompt,
            self.output_index,
            self.seed,
            self.recipe,
            sorted((name, repr(value)) for name, value in self.parameters.items()),
        ]
        if self.input_images:
            facts.append(sorted((slot, str(name)) for slot, name in self.input_images.items()))
        if self.local_only:
            # Who may not let it leave does not join what is made elsewhere.
            facts.append("local_only")
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class EntityDraft:
    """What the recorder is told about an output."""

    type: str
    output_index: int
    started_at: datetime
    duration: timedelta
    attempt: int
    backend: str
    model: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A file of an output that is durable. `wire` is the entity as the recorder answered it."""

    name: str
    request_digest: str
    wire: bytes
    # How many files the output has.
    files: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """An output all of whose files are durable, in order; at least one."""

    files: tuple[Recorded, ...]


def upload_of_file(upload: UploadName, number: int) -> UploadName:
    """The upload name of the n-th file of an output, from 1; the first has the output's own."""
    if number == 1:
        return upload
    ending = f"-file-{number}"
    if len(upload.upload_id) + len(ending) <= _MAX_UPLOAD_ID:
        return UploadName(upload.run, upload.upload_id + ending)
    short = hashlib.sha256(upload.upload_id.encode()).hexdigest()[:32]
    return UploadName(upload.run, short + ending)


def written(value: Value) -> str:
    """A value as metadata says it: true, 5.5, text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def entity_metadata(
    values: Mapping[str, Value], reported: Mapping[str, str], own: Mapping[str, str]
) -> dict[str, str]:
    """Join the parameters as used, the backend's facts and ours (ours win) within the limits.

    A long value is cut and ends in an ellipsis, and what still does not fit is left out, the
    backend's facts first.
    """
    joined = {name: written(value) for name, value in values.items()} | dict(reported)
    fitting = {key: _cut(value) for key, value in own.items()}
    used = sum(len(key) + len(value.encode()) for key, value in fitting.items())
    for key, value in joined.items():
        if key in fitting:
            continue
        value = _cut(value)
        cost = len(key.encode()) + len(value.encode())
        if len(fitting) < MAX_METADATA_KEYS and used + cost <= MAX_METADATA_BYTES:
            fitting[key] = value
            used += cost
    return fitting


def _cut(value: str) -> str:
    data = value.encode()
    if len(data) <= MAX_VALUE_BYTES:
        return value
    return data[: MAX_VALUE_BYTES - 3].decode(errors="ignore") + "…"
