"""Settings from the environment: ``ARTLAB_<SERVICE>_<NAME>``, all of them checked at start.

A variable nobody knows is refused with the closest known name, because a typo in a limit or in a
safety level must not silently mean the default.

A secret may be in a file instead, as containers hand them over: ``<NAME>_FILE`` names it.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

PREFIX = "ARTLAB_"
SERVICES = (
    "cli",
    "gateway",
    "interception",
    "media",
    "orchestrator",
    "recorder",
    "safety",
)
# Without a service's name, because the command line reads them as well: whose setting each is.
SHARED: Mapping[str, str] = {f"{PREFIX}RECIPES_DIR": "interception"}
EX_CONFIG = 78  # sysexits.h
MAX_SECRET_BYTES = 16 * 1024
_FILE = "_FILE"
DEFAULT_PORTS: Mapping[str, int] = {
    "gateway": 17801,
    "orchestrator": 17802,
    "safety": 17803,
    "interception": 17804,
    "media": 17805,
    "recorder": 17806,
}


def _split_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


CommaSeparated = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]
Port = Annotated[int, Field(ge=1, le=65535)]
Target = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./:\[\]-]{1,200}$")]
# One target, or replicas of one service: numbers of one family with ports, and commas between.
Targets = Annotated[
    str,
    Field(
        pattern=r"^([A-Za-z0-9_./:\[\]-]{1,200}"
        r"|[0-9.]{7,15}:[0-9]{1,5}(,[0-9.]{7,15}:[0-9]{1,5}){1,31}"
        r"|\[[0-9a-f:]{2,45}\]:[0-9]{1,5}(,\[[0-9a-f:]{2,45}\]:[0-9]{1,5}){1,31})$"
    ),
]


class Settings(BaseModel):
    """What every process has. Subclasses add fields; each has a description and a bound."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen on")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least severe lines to log"
    )


class SettingsError(Exception):
    """A setting is wrong; the message is one line that names it."""


def default_target(service: str) -> str:
    """Where a service listens when nobody says otherwise."""
    return f"127.0.0.1:{DEFAULT_PORTS[service]}"


S = TypeVar("S", bound=Settings)


def load_settings(service: str, kind: type[S], environ: Mapping[str, str] | None = None) -> S:
    """Read, check and return the settings of one service.

    Raises SettingsError, naming the variable, for a wrong value, a missing one, and for any
    ``ARTLAB_`` variable that no service knows.
    """
    environ = os.environ if environ is None else environ
    own = f"{PREFIX}{service.upper()}_"
    shared = {key: _field(key) for key, owner in SHARED.items() if owner == service}
    values: dict[str, Any] = {}
    for key, value in environ.items():
        if not key.startswith(PREFIX):
            continue
        if key in SHARED:
            if key in shared:
                values[shared[key]] = value
        elif key.startswith(own):
            name = key.removeprefix(own).lower()
            if name not in kind.model_fields or name in shared.values():
                name, value = _secret_file(key, own, kind, value)
                if environ.get(own + name.upper()):
                    raise SettingsError(f"{key}: set this or {own}{name.upper()}, not both")
            elif not value and f"{key}{_FILE}" in environ:
                # Passed on by a compose file, and set to nothing.
                continue
            values[name] = value
        elif not any(key.startswith(f"{PREFIX}{other.upper()}_") for other in SERVICES):
            raise SettingsError(_unknown_service(key))
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        why = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{_variable(own, name)}: {why}") from None


def _field(shared: str) -> str:
    """The field that a shared variable sets."""
    return shared.removeprefix(PREFIX).lower()


def _variable(own: str, name: str) -> str:
    """The variable that sets a field."""
    variable = f"{PREFIX}{name.upper()}"
    is_shared = variable in SHARED and own == f"{PREFIX}{SHARED[variable].upper()}_"
    return variable if is_shared else own + name.upper()


def _secret_file(key: str, own: str, kind: type[Settings], path: str) -> tuple[str, str]:
    """Name and value of the secret that `key` says is in a file."""
    name = key.removeprefix(own).removesuffix(_FILE).lower()
    secrets = [n for n, field in kind.model_fields.items() if field.annotation is SecretStr]
    if name not in secrets or not key.endswith(_FILE):
        if (shared := f"{PREFIX}{key.removeprefix(own)}") in SHARED:
            raise SettingsError(f"{key} is not a setting; did you mean {shared}?")
        known = [_variable(own, n) for n in kind.model_fields]
        raise SettingsError(_unknown(key, known + [own + n.upper() + _FILE for n in secrets]))
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_SECRET_BYTES + 1)
        value = data.decode().strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise SettingsError(f"{key}: the file cannot be read: {why}") from None
    if not value or len(data) > MAX_SECRET_BYTES:
        raise SettingsError(f"{key}: the file is {'too large' if value else 'empty'}")
    return name, value


def _unknown(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}"
    return f"{key} is not a setting; {hint}"


def _unknown_service(key: str) -> str:
    if close := difflib.get_close_matches(key, SHARED, n=1, cutoff=0.8):
        return f"{key} is not a setting; did you mean {close[0]}?"
    service, _, name = key.removeprefix(PREFIX).partition("_")
    close = difflib.get_close_matches(service, [s.upper() for s in SERVICES], n=1, cutoff=0.6)
    if close and name:
        return f"{key} is not a setting; did you mean {PREFIX}{close[0]}_{name}?"
    known = ", ".join((*(f"{PREFIX}{s.upper()}_…" for s in SERVICES), *SHARED))
    return f"{key} is not a setting; known are {known}"


def exit_for_settings(error: SettingsError) -> NoReturn:
    """End the process as sysexits.h asks for a wrong configuration."""
    print(f"artlab: {error}", file=sys.stderr)
    raise SystemExit(EX_CONFIG)
