"""The options that `run` and `demo` share, as one request to the gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from services.cli.commands.option_types import (
    ConfigName,
    Prompt,
    Pseudonym,
    RunName,
    Setting,
    Value,
    images,
)

LEVELS = ("kids", "youth", "adult", "research")
MODES = ("eco", "fast")
MAX_OUTPUTS = 16
MAX_SEED = 2**53 - 1
FIRST_STAGE = 2
MAX_PARAMETERS = 64


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a person asked for on the command line."""

    request: Mapping[str, object]
    as_json: bool
    quiet: bool
    # Pictures to bring, in the order of the outputs' slots.
    images: tuple[Path, ...] = ()


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add TEXT and the options of a run to a command; it gets them as one RunOptions."""

    @click.argument("text", type=Prompt(), metavar="TEXT", required=False)
    @click.option("--config", "config", type=ConfigName(), help="The recipe, e.g. dada.")
    @click.option(
        "--output",
        "outputs",
        type=ConfigName(),
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
        type=Prompt(),
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
        callback=images,
        help="A picture for outputs that take one; repeat it for several, in their order.",
    )
    @click.option("--pipeline", type=ConfigName(), help="What the run follows; GET /api/pipelines.")
    @click.option(
        "--pause",
        is_flag=True,
        help="Be asked, before anything is made of it, if the text is right.",
    )
    @click.option(
        "--set",
        "settings",
        type=Setting(),
        multiple=True,
        metavar="NAME=VALUE",
        help="A value for a slot of the outputs, e.g. negative_prompt=fog; repeatable.",
    )
    @click.option("--user", type=Pseudonym(), help="Who asks: a pseudonym, never a name.")
    @click.option(
        "--reuse",
        is_flag=True,
        help="Take an equal earlier output of the same --user instead of making it again.",
    )
    @click.option(
        "--rerun",
        type=RunName(),
        help="Go on from another run of the same --user: what is not set is as it was there.",
    )
    @click.option(
        "--from-stage",
        type=click.IntRange(2, 4),
        help="With --rerun, the first stage done anew: 2 the text (of TEXT, if given, else of the "
        "same input), 3 or 4 the outputs (of TEXT, if given, else of the same text).",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print the result as one line of JSON.")
    @click.option("--quiet", "-q", is_flag=True, help="Print only what was made.")
    def with_options(
        text: str | None,
        config: str | None,
        outputs: tuple[str, ...],
        level: str | None,
        mode: str | None,
        context: str | None,
        seed: int | None,
        language: str | None,
        pipeline: str | None,
        pause: bool,
        settings: tuple[tuple[str, Value], ...],
        user: str | None,
        reuse: bool,
        rerun: str | None,
        from_stage: int | None,
        images: tuple[Path, ...],
        as_json: bool,
        quiet: bool,
        **others: Any,
    ) -> None:
        if len(outputs) > MAX_OUTPUTS:
            raise click.BadParameter(f"at most {MAX_OUTPUTS} outputs", param_hint="--output")
        _require_whole(text, config, rerun, from_stage)
        if len(settings) > MAX_PARAMETERS:
            raise click.BadParameter(f"at most {MAX_PARAMETERS} values", param_hint="--set")
        if reuse and user is None:
            raise click.UsageError("--reuse needs --user: nothing is reused of anybody")
        # From stage 2 on the text is made anew, from another input where there is one.
        replaces = rerun is not None and from_stage != FIRST_STAGE
        going_on = {"run_id": rerun, "from_stage": from_stage}
        going_on |= {"text": text} if replaces and text else {}
        fields = {
            "schema": config,
            "input_text": None if replaces else text,
            "output_configs": list(outputs) or None,
            "safety_level": level,
            "execution_mode": mode,
            "context": context,
            "seed": seed,
            "language": language,
            "input_images": len(images) or None,
            "pipeline": pipeline,
            "pause_before_render": pause or None,
            "parameters": dict(settings) or None,
            "user_id": user,
            "allow_reuse": reuse or None,
            "rerun": going_on if rerun else None,
        }
        request = {name: value for name, value in fields.items() if value is not None}
        command(RunOptions(request, as_json, quiet, images), **others)

    with_options.__name__ = command.__name__
    with_options.__doc__ = command.__doc__
    return with_options


def _require_whole(
    text: str | None, config: str | None, rerun: str | None, from_stage: int | None
) -> None:
    """Refuse a request of which a part is missing, or too much."""
    if rerun is None:
        if from_stage is not None:
            raise click.UsageError("--from-stage needs --rerun")
        if text is None:
            raise click.UsageError("Missing argument 'TEXT'.")
        if config is None:
            raise click.UsageError("Missing option '--config'.")
    elif from_stage is None:
        raise click.UsageError("--rerun needs --from-stage: 2, 3 or 4")
