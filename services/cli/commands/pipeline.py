"""`artlab pipeline`: look at pipelines, and try them without any service."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.domain.exit_codes import FAILED, INTERRUPTED, exit_code_of
from services.cli.domain.printable import printable
from services.kit.catalogue import CONFIGS, CatalogueError

if TYPE_CHECKING:
    from services.orchestrator.engine.definition import Definition
    from services.orchestrator.engine.step import JsonObject

_FOLDER = "pipelines"
_SUFFIXES = (".yaml", ".yml", ".json")

_configs = click.option(
    "--configs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=CONFIGS,
    help="Folder of the catalogue. Default: configs/ of this installation.",
)


@click.group(short_help="Check, draw and try pipelines.")
def pipeline() -> None:
    """Pipelines: which steps a run takes, and which way it goes from one to the next.

    They are files in configs/pipelines; docs/pipelines.md says how to write one. Plug-ins are
    looked for in the current folder and beside the FILE as well.
    """


@pipeline.command(name="check", short_help="Validate pipelines; list every defect.")
@click.argument(
    "files",
    nargs=-1,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="[FILE…]",
)
@_configs
def check_pipelines(files: tuple[Path, ...], configs: Path) -> None:
    """Read each FILE, or all pipelines of the catalogue, and list every defect.

    One line for each: file: field: reason. Exit code 1 if there are any.
    """
    folder = configs / _FOLDER
    paths = files or tuple(sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES))
    if not paths:
        raise click.UsageError(f"there are no pipelines in {folder}")
    count = 0
    for path in paths:
        found, lines = _read(path)
        for line in lines:
            click.echo(printable(line))
        count += len(lines)
        if found is not None:
            steps = len(found.steps)
            click.echo(f"{path}: {steps} step{'s' if steps > 1 else ''}, no defects")
    if count:
        click.echo(f"artlab: {count} defect{'s' if count > 1 else ''}", err=True)
        raise SystemExit(FAILED)


@pipeline.command(short_help="Draw a pipeline.")
@click.argument("name", metavar="NAME|FILE")
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "text", "json"]),
    default="text",
    show_default=True,
    help="A flowchart for Mermaid, lines for people, or the document that runs record.",
)
@_configs
def show(name: str, form: str, configs: Path) -> None:
    """Print the steps of a pipeline and the paths between them."""
    from services.cli.pipeline_report import lines_of
    from services.orchestrator.engine.mermaid import mermaid

    definition = _one(name, configs)
    if form == "mermaid":
        click.echo(mermaid(definition), nl=False)
    elif form == "json":
        told = {**json.loads(definition.document), "sha256": definition.sha256}
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        for line in lines_of(definition):
            click.echo(printable(line))


@pipeline.command(name="run", short_help="Try a pipeline without any service.")
@click.argument("name", metavar="FILE|NAME")
@click.option("--input", "text", required=True, metavar="TEXT", help="What is input.text.")
@click.option(
    "--plan",
    default="{}",
    metavar="JSON",
    help='What is plan, e.g. {"outputs": [{"index": 1, "config": "dada", "kind": "text"}]}.',
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@_configs
def run_pipeline(name: str, text: str, plan: str, as_json: bool, configs: Path) -> None:
    """Carry out a pipeline in memory: generic steps and plug-ins; nothing is recorded.

    One line for each step, then the outputs as JSON. A step that asks for a service fails and says
    for which. Exit code 0 when the pipeline succeeds, 1 when it fails or waits for a person, 3 when
    it is blocked.
    """
    from services.cli.pipeline_report import Printed, document_of, try_out
    from services.orchestrator.engine.step import StepWaits

    definition = _one(name, configs)
    printed = Printed(lambda line: None if as_json else click.echo(printable(line)))
    work = try_out(definition, {"text": text}, _plan(plan), printed)
    try:
        with _importable(Path(name)):
            result = asyncio.run(work)
    except StepWaits as waits:
        click.echo(
            f"artlab: waits for a person, at most {waits.seconds:g} s; here nobody answers",
            err=True,
        )
        raise SystemExit(FAILED) from waits
    except KeyboardInterrupt as interrupt:
        raise SystemExit(INTERRUPTED) from interrupt
    document = document_of(result) if as_json else {"state": result.state, "output": result.output}
    told = json.dumps(document, ensure_ascii=False, indent=2)
    click.echo(told if as_json else printable(told))
    failed = result.failed_step
    if failed is not None:
        why = f"{failed.error}: {failed.message}"
        click.echo(printable(f"artlab: {failed.step_name} {failed.status}: {why}"), err=True)
    raise SystemExit(exit_code_of(result.state))


def _plan(text: str) -> JsonObject:
    try:
        plan = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--plan: {error}") from error
    if not isinstance(plan, Mapping):
        raise click.UsageError("--plan: expected a JSON object")
    # As for a run that asks for nothing.
    return {"outputs": [], "pause_before_render": False, **plan}


def _one(name: str, configs: Path) -> Definition:
    path = _path_of(name, configs)
    found, lines = _read(path)
    if found is None:
        for line in lines:
            click.echo(printable(line))
        raise SystemExit(FAILED)
    return found


def _path_of(name: str, configs: Path) -> Path:
    from services.orchestrator.engine.reader import did_you_mean

    if name.endswith(_SUFFIXES):
        if not Path(name).is_file():
            raise click.UsageError(f"there is no file {printable(name)}")
        return Path(name)
    paths = {path.stem: path for path in (configs / _FOLDER).glob("*") if path.suffix in _SUFFIXES}
    if name not in paths:
        raise click.UsageError(f"there is no pipeline {printable(name)}{did_you_mean(name, paths)}")
    return paths[name]


def _read(path: Path) -> tuple[Definition | None, list[str]]:
    # Only here: the other commands start without the libraries of the services.
    from services.orchestrator.engine.loader import load_pipeline
    from services.orchestrator.steps.table import FACTORIES

    try:
        with _importable(path):
            return load_pipeline(path, FACTORIES), []
    except CatalogueError as error:
        return None, [
            f"{path}: {defect.field + ': ' if defect.field else ''}{defect.reason}"
            for defect in error.defects
        ]


@contextmanager
def _importable(path: Path) -> Iterator[None]:
    before = list(sys.path)
    # Behind everything else: a file called json.py beside a pipeline must not become our json.
    sys.path += [str(Path.cwd()), str(path.resolve().parent)]
    try:
        yield
    finally:
        sys.path[:] = before
