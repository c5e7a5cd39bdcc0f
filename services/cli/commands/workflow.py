"""`artlab workflow import`: what ComfyUI exported becomes an output of this installation."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.domain.exit_codes import FAILED
from services.cli.domain.printable import printable
from services.kit.catalogue import CONFIGS

if TYPE_CHECKING:
    from services.media.comfy_files import ComfyNodes
    from services.media.workflow_import import Imported

MAX_WORKFLOW_BYTES = 8 * 1024 * 1024
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")


@click.group(short_help="Take in workflows of ComfyUI.")
def workflow() -> None:
    """Workflows of ComfyUI as outputs of this installation."""


@workflow.command(name="import", short_help="Turn an exported workflow into an output config.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Of the new output: a-z, 0-9 and _. Default: from FILE's name.")
@click.option("--title", default="", help="What people see. Default: from the name.")
@click.option(
    "--out",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=CONFIGS,
    help="Folder of the catalogue to write to. Default: configs/ of this installation.",
)
@click.option("--output-node", help="Node whose file is the output, if several nodes save.")
@click.option(
    "--comfyui",
    metavar="URL",
    help="A ComfyUI to ask for the definitions of its nodes. Default: those of the catalogue.",
)
@click.option("--replace", is_flag=True, help="Overwrite an output of this name.")
def import_workflow(
    file: Path,
    name: str | None,
    title: str,
    out: Path,
    output_node: str | None,
    comfyui: str | None,
    replace: bool,
) -> None:
    """Write output/NAME.yaml and workflows/NAME.json from a workflow that ComfyUI exported.

    API format is taken as it is; the editor's format is converted. Prompt, negative prompt, seed,
    size, steps, CFG, sampler, scheduler, denoise, frames, rate, length, pictures and LoRAs become
    slots where the graph shows them. Refused with every reason, and nothing written: a node that
    is not in comfyui/allowed_nodes.yaml, or one whose values cannot be told.
    """
    # Only here: the other commands start without the libraries of the services.
    from services.media.workflow_import import ImportRefused, defects_of
    from services.media.workflow_import import import_workflow as read_workflow

    name = name if name is not None else _name_of(file)
    if _NAME.fullmatch(name) is None:
        raise click.UsageError(f"--name: {printable(name)} is not of a-z, 0-9 and _")
    places = out / "output" / f"{name}.yaml", out / "workflows" / f"{name}.json"
    taken = [place for place in places if place.exists()]
    if taken and not replace:
        raise click.UsageError(f"{taken[0]} is there already; --replace overwrites it")
    try:
        nodes = _nodes(out)
        told = nodes if comfyui is None else _as_told(nodes, comfyui)
        imported = read_workflow(_document(file), name, told, title=title, output_node=output_node)
        unfit = defects_of(imported, nodes)
        if unfit:
            hint = f"`artlab workflow nodes {comfyui}` makes the catalogue know these nodes"
            raise ImportRefused([*unfit, hint])
    except ImportRefused as refused:
        for reason in refused.reasons:
            click.echo(printable(f"{file}: {reason}"))
        click.echo("artlab: refused, nothing was written", err=True)
        raise SystemExit(FAILED) from refused
    _write(imported, *places)
    for note in imported.notes:
        click.echo(printable(f"note: {note}"))
    slots = ", ".join(imported.config["slots"])
    click.echo(f"{name}: makes {imported.config['kind']}, slots {slots}")
    for place in places:
        click.echo(f"wrote {place}")


@workflow.command(name="nodes", short_help="Take the definitions of nodes from a ComfyUI.")
@click.argument("url")
@click.option(
    "--out",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=CONFIGS,
    help="Folder of the catalogue to write to. Default: configs/ of this installation.",
)
def take_nodes(url: str, out: Path) -> None:
    """Write comfyui/node_definitions.json as the ComfyUI at URL defines the allowed nodes.

    For after an update of ComfyUI, and after a class was added to comfyui/allowed_nodes.yaml.
    `artlab check` then says which workflows no longer fit.
    """
    from services.kit.catalogue import CatalogueError, Defect
    from services.media.comfy_files import (
        DEFINITIONS_FILE,
        FOLDER,
        condense,
        load_allowed_nodes,
        written_definitions,
    )

    defects: list[Defect] = []
    allowed = load_allowed_nodes(out, defects)
    if allowed is None:
        raise click.ClickException(CatalogueError(defects).message)
    found = condense(asyncio.run(_object_info(url)), allowed)
    place = out / FOLDER / DEFINITIONS_FILE
    place.write_text(written_definitions(found), encoding="utf-8")
    click.echo(f"wrote {place}: {len(found)} of {len(allowed)} allowed nodes")
    for name in sorted(set(allowed) - set(found)):
        click.echo(printable(f"note: {name} is not there"))


def _name_of(file: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", file.stem.lower()).strip("_")[:60]
    return name if name[:1].isalpha() else f"w_{name}"[:60]


def _document(file: Path) -> object:
    from services.media.workflow_import import ImportRefused

    data = file.read_bytes()
    if len(data) > MAX_WORKFLOW_BYTES:
        raise ImportRefused([f"larger than {MAX_WORKFLOW_BYTES} bytes"])
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImportRefused(["no JSON: export the workflow as JSON"]) from error


def _nodes(configs: Path) -> ComfyNodes:
    from services.kit.catalogue import CatalogueError, Defect
    from services.media.comfy_files import load_comfy_nodes

    defects: list[Defect] = []
    nodes = load_comfy_nodes(configs, defects)
    if nodes is None:
        raise click.ClickException(CatalogueError(defects).message)
    return nodes


def _as_told(nodes: ComfyNodes, url: str) -> ComfyNodes:
    """What an instance says of its nodes; what it lacks is still known from the catalogue."""
    from services.media.comfy_files import ComfyNodes, condense
    from services.media.domain.node_definition import parse_definitions

    told = parse_definitions(condense(asyncio.run(_object_info(url)), nodes.allowed))
    return ComfyNodes(nodes.allowed, {**nodes.definitions, **told})


async def _object_info(url: str) -> Mapping[str, Any]:
    from services.kit.errors import ArtlabError
    from services.media.comfy.address import parse_address
    from services.media.comfy.rest import Rest

    try:
        rest = Rest(parse_address(url, allow_remote=True))
        try:
            return (await rest.get("/object_info", timeout_seconds=30.0)).object()
        finally:
            await rest.close()
    except ArtlabError as error:
        raise click.ClickException(error.message) from error


def _write(imported: Imported, config: Path, graph: Path) -> None:
    for place, text in ((graph, imported.graph_text), (config, imported.config_text)):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
