"""`artlab check`: the catalogue as a whole, before anything starts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from services.cli.domain.exit_codes import FAILED
from services.cli.domain.printable import printable
from services.kit.catalogue import CONFIGS


@click.command(short_help="Validate the catalogue; list every defect.")
@click.option(
    "--configs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=CONFIGS,
    help="Folder of the catalogue. Default: configs/ of this installation.",
)
@click.option(
    "--recipes",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="ARTLAB_RECIPES_DIR",
    help="Folder of recipes of your own, checked too. Default: ARTLAB_RECIPES_DIR.",
)
@click.option(
    "--models",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="ARTLAB_INTERCEPTION_MODELS_FILE",
    help="Table of models of your own, checked too. Default: ARTLAB_INTERCEPTION_MODELS_FILE.",
)
@click.option(
    "--comfyui",
    multiple=True,
    metavar="URL",
    help="A ComfyUI to ask which outputs it can make, and what it lacks. May be repeated.",
)
def check(
    configs: Path, recipes: Path | None, models: Path | None, comfyui: tuple[str, ...]
) -> None:
    """Read the whole catalogue as the services do, and list every defect.

    One line for each: file: field: reason. Exit code 1 if there are any. With --comfyui also one
    line for each output of ComfyUI: available, or why not.
    """
    # Only here: the other commands start without the libraries of the services.
    from services.cli.catalogue import check_catalogue

    found = check_catalogue(configs, recipes, models)
    for defect in found.defects:
        click.echo(str(defect))
    if found.defects:
        count = len(found.defects)
        click.echo(f"artlab: {count} defect{'s' if count > 1 else ''} in {configs}", err=True)
        raise SystemExit(FAILED)
    click.echo(
        f"{found.recipes} recipes, {found.outputs} outputs, {found.pipelines} pipelines,"
        f" safety lists {found.safety}: no defects"
    )
    if comfyui:
        for name, reason in asyncio.run(_availability(configs, comfyui)).items():
            told = "available" if reason is None else f"not available: {reason}"
            click.echo(printable(f"output {name}: {told}"))


async def _availability(configs: Path, urls: tuple[str, ...]) -> dict[str, str | None]:
    """Why each output of ComfyUI cannot be made at any of the instances; None where it can."""
    from services.kit.clock import SystemClock
    from services.kit.errors import ArtlabError
    from services.media.catalogue import load_output_catalogue
    from services.media.comfy import ComfyBackend

    outputs = load_output_catalogue(configs).configs
    try:
        backend = ComfyBackend(urls, max_media_bytes=1, clock=SystemClock(), allow_remote=True)
    except ArtlabError as error:
        raise click.UsageError(f"--comfyui: {error.message}") from error
    try:
        return {
            name: await backend.unavailable_reason(outputs[name])
            for name in sorted(outputs)
            if outputs[name].backend == backend.name
        }
    finally:
        await backend.close()
