"""Values of options, parsed where they come in."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import click
import httpx

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId, parse_config_name, parse_pseudonym
from services.kit.text import MAX_TEXT_BYTES, parse_text

MAX_IMAGES = 4
MAX_IMAGE_BYTES = 32 * 1024 * 1024
_SLOT = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)

Value = bool | int | float | str


class ConfigName(click.ParamType[str]):
    """Name of a recipe, an output or a pipeline."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value. Raises click.BadParameter."""
        try:
            return parse_config_name(str(value))
        except InvalidArgument:
            self.fail("a name has small letters, digits and _, such as dada", param, ctx)


class Prompt(click.ParamType[str]):
    """A text; `-` is what comes by stdin."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value. Raises click.BadParameter."""
        text = _standard_input() if value == "-" else str(value)
        try:
            return parse_text(text, "text")
        except InvalidArgument as error:
            # Bytes that are no text arrive as halves of surrogate pairs.
            is_text = error.reason != "INVALID_UNICODE"
            self.fail(error.message if is_text else "expected text in UTF-8", param, ctx)


def _standard_input() -> str:
    data = sys.stdin.buffer.read(MAX_TEXT_BYTES + 2)
    # A shell's newline at the end is not part of what the person wrote.
    text = data.decode("utf-8", "surrogateescape").removesuffix("\n")
    return text.removesuffix("\r")


def images(ctx: click.Context, param: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Refuse more pictures than a run takes, and larger ones."""
    if len(paths) > MAX_IMAGES:
        raise click.BadParameter(f"at most {MAX_IMAGES} pictures")
    for path in paths:
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise click.BadParameter(f"{path.name} is larger than 32 MiB")
    return paths


class Pseudonym(click.ParamType[str]):
    """Who somebody is, without a name."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value. Raises click.BadParameter."""
        try:
            return parse_pseudonym(str(value))
        except InvalidArgument:
            self.fail("a pseudonym has small letters, digits and -, such as anna-7", param, ctx)


class RunName(click.ParamType[str]):
    """Id of a run."""

    name = "run_id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value. Raises click.BadParameter."""
        try:
            return str(RunId.parse(str(value)))
        except InvalidArgument:
            self.fail("expected the id of a run, as `artlab run` tells it", param, ctx)


class Setting(click.ParamType[tuple[str, Value]]):
    """NAME=VALUE for a slot; a number, true, false, or text (in quotes where it looks like one)."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Value]:
        """Return name and value. Raises click.BadParameter."""
        if isinstance(value, tuple):
            return value[0], value[1]
        name, equals, text = str(value).partition("=")
        if not equals or _SLOT.fullmatch(name) is None:
            self.fail("expected NAME=VALUE, such as negative_prompt=fog", param, ctx)
        return name, _scalar(text)


def _scalar(text: str) -> Value:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    # Infinity and NaN are no JSON, whatever Python thinks.
    if isinstance(found, float) and not math.isfinite(found):
        return text
    return found if isinstance(found, bool | int | float | str) else text


def parse_url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no address of a gateway."""
    try:
        url = httpx.URL(value or "http://unset")
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise click.BadParameter("expected an address such as http://127.0.0.1:17801")
    return value


url_option = click.option(
    "--url",
    callback=parse_url,
    help="The gateway's address. Default: ARTLAB_CLI_URL, or port 17801 here.",
)
