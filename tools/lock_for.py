"""Print the part of requirements.lock that one service needs, hashes included.

    python tools/lock_for.py recorder > requirements.txt
    pip install --no-deps --require-hashes -r requirements.txt

The lock file says of every package who asked for it (`# via …`), so the parts of a service are
the packages named in pyproject.toml for it and, over and over, whatever they brought in. Only
what `exclude-dependencies` of pyproject.toml leaves out is not in it: hence --no-deps.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_VIA = re.compile(r"^ +# +(?:via +)?(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of the lock file: its lines as they stand, and who asked for it."""

    name: str
    lines: tuple[str, ...]
    wanted_by: frozenset[str]


def canonical(name: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(text: str) -> list[Pin]:
    """Return the pins of a lock file, in its order. Raises ValueError for a line it cannot read."""
    pins: list[Pin] = []
    block: list[str] = []

    def close() -> None:
        if not block:
            return
        name = canonical(block[0].split("==")[0])
        via = {canonical(found["name"]) for line in block if (found := _VIA.match(line))}
        if not via:
            raise ValueError(f"{name}: the lock file does not say who asked for it")
        pins.append(Pin(name, tuple(block), frozenset(via - {"via"})))

    for number, line in enumerate(text.splitlines(), start=1):
        if _PIN.match(line):
            close()
            block = [line]
        elif line.startswith(" ") and block:
            block.append(line)
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"line {number}: not a pin, a hash or a reason")
    close()
    return pins


def roots_of(project: dict[str, object], service: str) -> set[str]:
    """Return the packages that pyproject.toml names for one service, the shared ones included.

    Raises ValueError for an unknown service.
    """
    table = project["project"]
    assert isinstance(table, dict)
    extras = table["optional-dependencies"]
    if service not in extras:
        raise ValueError(f"no such service: {service}; known are {', '.join(sorted(extras))}")
    named = [*table["dependencies"], *extras[service]]
    return {canonical(found.group()) for line in named if (found := _NAME.match(line))}


def closure(pins: list[Pin], roots: set[str]) -> list[Pin]:
    """Return the roots' pins and all they need, in the lock's order.

    Raises ValueError when a root is not locked.
    """
    if missing := roots - {pin.name for pin in pins}:
        raise ValueError(f"not in the lock file: {', '.join(sorted(missing))}; run `make lock`")
    chosen = set(roots)
    while more := {pin.name for pin in pins if pin.wanted_by & chosen} - chosen:
        chosen |= more
    return [pin for pin in pins if pin.name in chosen]


def main(arguments: list[str]) -> int:
    """Print the lines for the service named by the one argument."""
    if len(arguments) != 1:
        print("usage: lock_for.py SERVICE", file=sys.stderr)
        return 2
    # Also right in an image build, where the three files lie in one folder.
    here = Path(__file__).resolve().parent
    root = here if (here / "requirements.lock").exists() else here.parent
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text())
        pins = read_lock((root / "requirements.lock").read_text())
        chosen = closure(pins, roots_of(project, arguments[0]))
    except (OSError, ValueError) as error:
        print(f"lock_for: {error}", file=sys.stderr)
        return 1
    for pin in chosen:
        print("\n".join(line for line in pin.lines if not line.lstrip().startswith("#")))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
