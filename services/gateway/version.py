"""The version of the installed distribution; "unknown" when run from bare files."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("artlab")
    except PackageNotFoundError:
        return "unknown"


VERSION = _version()
