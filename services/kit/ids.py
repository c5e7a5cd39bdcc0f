"""Names that cannot be wrong. Pure.

Every name a client sends is parsed into one of these types at the border; inside, a value of
such a type is canonical and can be joined to a path. The grammar is that of the protos.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from services.kit.errors import InvalidArgument

# ASCII only, and always used with fullmatch: `$` would accept a trailing newline.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CONFIG_NAME = re.compile(r"[a-z0-9_]{1,64}")
_PSEUDONYM = re.compile(r"[a-z0-9-]{1,64}")
_UPLOAD_ID = re.compile(r"[a-z0-9-]{1,64}")
_SEQUENCE = re.compile(r"[1-9][0-9]{0,5}")
_MAX_NAME_CHARACTERS = 200


def _bad(reason: str, field: str, expected: str) -> InvalidArgument:
    return InvalidArgument(reason, f"expected {expected}", field=field)


@dataclass(frozen=True, slots=True, order=True)
class RunId:
    """A canonical lower-case UUID. Resource name: ``runs/{run_id}``."""

    value: str

    def __post_init__(self) -> None:
        # Not uuid.UUID(): it accepts braces, urn:, upper case and missing hyphens.
        if _UUID.fullmatch(self.value) is None:
            raise _bad("INVALID_RUN_ID", "run_id", "a canonical lower-case UUID")

    def __str__(self) -> str:
        return self.value

    @property
    def name(self) -> str:
        """The resource name."""
        return f"runs/{self.value}"

    @classmethod
    def new(cls) -> RunId:
        """A random one."""
        return cls(str(uuid.uuid4()))

    @classmethod
    def parse(cls, text: str, field: str = "run_id") -> RunId:
        """Parse a bare id. Raises InvalidArgument INVALID_RUN_ID with the field's path."""
        if len(text) > _MAX_NAME_CHARACTERS or _UUID.fullmatch(text) is None:
            raise _bad("INVALID_RUN_ID", field, "a canonical lower-case UUID")
        return cls(text)

    @classmethod
    def parse_name(cls, name: str, field: str = "name") -> RunId:
        """Parse ``runs/{run_id}``. Raises InvalidArgument INVALID_NAME."""
        parts = _split(name, field, "runs/{run_id}", 2)
        return _run_of(parts, field, "runs/{run_id}")


@dataclass(frozen=True, slots=True, order=True)
class EntityName:
    """One entity of a run: ``runs/{run_id}/entities/{sequence}``; sequence from 1."""

    run: RunId
    sequence: int

    def __str__(self) -> str:
        return f"{self.run.name}/entities/{self.sequence}"

    @classmethod
    def parse(cls, name: str, field: str = "name") -> EntityName:
        """Parse the resource name. Raises InvalidArgument INVALID_NAME."""
        form = "runs/{run_id}/entities/{sequence}"
        parts = _split(name, field, form, 4)
        if parts[2] != "entities":
            raise _bad("INVALID_NAME", field, form)
        return cls(_run_of(parts, field, form), parse_sequence(parts[3], field))


@dataclass(frozen=True, slots=True, order=True)
class UploadName:
    """One upload into a run: ``runs/{run_id}/uploads/{upload_id}``."""

    run: RunId
    upload_id: str

    def __post_init__(self) -> None:
        if _UPLOAD_ID.fullmatch(self.upload_id) is None:
            raise _bad("INVALID_NAME", "upload", "an upload_id ^[a-z0-9-]{1,64}$")

    def __str__(self) -> str:
        return f"{self.run.name}/uploads/{self.upload_id}"

    @classmethod
    def parse(cls, name: str, field: str = "upload") -> UploadName:
        """Parse the resource name. Raises InvalidArgument INVALID_NAME."""
        form = "runs/{run_id}/uploads/{upload_id}"
        parts = _split(name, field, form, 4)
        if parts[2] != "uploads" or _UPLOAD_ID.fullmatch(parts[3]) is None:
            raise _bad("INVALID_NAME", field, form)
        return cls(_run_of(parts, field, form), parts[3])


def parse_upload_id(text: str, field: str = "upload_id") -> str:
    """Return an upload id, ``^[a-z0-9-]{1,64}$``. Raises InvalidArgument INVALID_NAME."""
    if _UPLOAD_ID.fullmatch(text) is None:
        raise _bad("INVALID_NAME", field, "^[a-z0-9-]{1,64}$")
    return text


def parse_config_name(text: str, field: str = "config_name") -> str:
    """Return the name of a recipe or output config, ``^[a-z0-9_]{1,64}$``.

    Raises InvalidArgument INVALID_CONFIG_NAME.
    """
    if _CONFIG_NAME.fullmatch(text) is None:
        raise _bad("INVALID_CONFIG_NAME", field, "^[a-z0-9_]{1,64}$")
    return text


def parse_pseudonym(text: str, field: str = "user_id") -> str:
    """Return a pseudonym, ``^[a-z0-9-]{1,64}$``. Raises InvalidArgument INVALID_USER_ID."""
    if _PSEUDONYM.fullmatch(text) is None:
        raise _bad("INVALID_USER_ID", field, "a pseudonym ^[a-z0-9-]{1,64}$")
    return text


def parse_sequence(text: str, field: str = "sequence") -> int:
    """Return a sequence number from 1, written in ASCII digits. Raises INVALID_SEQUENCE."""
    if _SEQUENCE.fullmatch(text) is None:
        raise _bad("INVALID_SEQUENCE", field, "a number from 1, in ASCII digits")
    return int(text)


def _split(name: str, field: str, form: str, count: int) -> list[str]:
    parts = name.split("/") if len(name) <= _MAX_NAME_CHARACTERS else []
    if len(parts) != count or parts[0] != "runs":
        raise _bad("INVALID_NAME", field, form)
    return parts


def _run_of(parts: list[str], field: str, form: str) -> RunId:
    if _UUID.fullmatch(parts[1]) is None:
        raise _bad("INVALID_NAME", field, form)
    return RunId(parts[1])
