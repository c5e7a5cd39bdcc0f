"""The options that `run` and `demo` share, as one request to the gateway."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from services.kit.errors import InvalidArgument
from services.kit.ids import parse_config_name
from services.kit.text import MAX_TEXT_BYTES, parse_text

LEVELS = ("kids", "youth", "adult", "research")
MODES = ("eco", "fast")
MAX_OUTPUTS = 16
MAX_SEED = 2**53 - 1
MAX_IMAGES = 4
MAX_IMAGE_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a person asked for on the command line."""

    request: Mapping[str, object]
    as_json: bool
    quiet: bool
    # Pictures to bring, in the order of the outputs' slots.
    images: tuple[Path, ...] = ()


class _ConfigName(click.ParamType[str]):
    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return parse_config_name(str(value))
        except InvalidArgument:
            self.fail("a name has small letters, digits and _, such as dada", param, ctx)


class _Prompt(click.ParamType[str]):
    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
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


def _images(
    ctx: click.Context, param: click.Parameter, paths: tuple[Path, ...]
) -> tuple[Path, ...]:
    if len(paths) > MAX_IMAGES:
        raise click.BadParameter(f"at most {MAX_IMAGES} pictures")
    for path in paths:
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise click.BadParameter(f"{path.name} is larger than 32 MiB")
    return paths


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add TEXT and the options of a run to a command; it gets them as one RunOptions."""

    @click.argument("text", type=_Prompt(), metavar="TEXT")
    @click.option(
        "--config", "config", type=_ConfigName(), required=True, help="The recipe, e.g. dada."
    )
    @click.option(
        "--output",
        "outputs",
        type=_ConfigName(),
        multiple=True,
        help="An output config, e.g. builtin_image; repeat it for several. Default: the recipe's.",
    )
    @click.option(
        "--level",
        type=click.Choice(LEVELS),
        help="Stricter than the server's own level, never laxer.",
    )
    @click.option(
        "--mode",
        type=click.Choice(MODES),
        help="eco: local models only. fast: remote ones where the server allows them.",
    )
    @click.option(
        "--context",
        type=_Prompt(),
        help="Your own rules, for recipes that invite them; - is stdin.",
    )
    @click.option(
        "--seed",
        type=click.IntRange(0, MAX_SEED),
        help="Repeats what is random. Default: drawn, and recorded.",
    )
    @click.option(
        "--language", help="Language of explanations, e.g. de. Default: that of the text."
    )
    @click.option(
        "--image",
        "images",
        type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
        multiple=True,
        callback=_images,
        help="A picture for outputs that take one; repeat it for several, in their order.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print the result as one line of JSON.")
    @click.option("--quiet", "-q", is_flag=True, help="Print only what was made.")
    def with_options(
        text: str,
        config: str,
        outputs: tuple[str, ...],
        level: str | None,
        mode: str | None,
        context: str | None,
        seed: int | None,
        language: str | None,
        images: tuple[Path, ...],
        as_json: bool,
        quiet: bool,
        **others: Any,
    ) -> None:
        if len(outputs) > MAX_OUTPUTS:
            raise click.BadParameter(f"at most {MAX_OUTPUTS} outputs", param_hint="--output")
        fields = {
            "schema": config,
            "input_text": text,
            "output_configs": list(outputs) or None,
            "safety_level": level,
            "execution_mode": mode,
            "context": context,
            "seed": seed,
            "language": language,
            "input_images": len(images) or None,
        }
        request = {name: value for name, value in fields.items() if value is not None}
        command(RunOptions(request, as_json, quiet, images), **others)

    with_options.__name__ = command.__name__
    with_options.__doc__ = command.__doc__
    return with_options
