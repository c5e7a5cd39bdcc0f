"""`artlab export`: runs as one file."""

from __future__ import annotations

import json
import os
import secrets
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import click

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.cli.commands.filter_options import ChosenRuns, filter_options
from services.cli.domain.exit_codes import FAILED, OK
from services.cli.domain.printable import printable
from services.cli.recorder_access import (
    RecorderAccess,
    RecorderChoice,
    recorder_options,
    run_with_recorder,
)
from services.cli.rows import format_size
from services.cli.transfer import transfer
from services.kit.enums import value_of
from services.kit.status import remote_errors

EXPORT_SECONDS = 6 * 3600.0
AUDIENCES = ("student", "advanced", "research")
_FORMATS = {
    "zip": pb.EXPORT_FORMAT_ZIP,
    "jsonl": pb.EXPORT_FORMAT_JSON_LINES,
    "html": pb.EXPORT_FORMAT_HTML,
}


@click.command(short_help="Write runs into one file: ZIP, JSON Lines, or a page.")
@filter_options
@click.option(
    "-o",
    "--output",
    "file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(tuple(_FORMATS)),
    help="zip: run folders, can be imported. jsonl: their metadata, one a line. html: one run as "
    "a page. Default: by the ending of the file; without one, zip.",
)
@click.option(
    "--audience",
    type=click.Choice(AUDIENCES),
    default="research",
    show_default=True,
    help="Who will see the file; what they may not see is left out.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@recorder_options
def export(
    chosen: ChosenRuns,
    file: Path,
    kind: str | None,
    audience: str,
    force: bool,
    choice: RecorderChoice,
) -> None:
    """Write runs into one file: each RUN (an id or a run folder), or those that options choose.

    Needs no running service: without one, the recorder is started for the time of the command.

    Exit codes: 0 written, 1 not written, or written without runs that are damaged (they are
    named), 2 the request was wrong, 130 interrupted.
    """
    if file.exists() and not force:
        raise click.UsageError(f"{file} exists; --force replaces it")
    chosen_kind = kind or _kind_of(file)
    request = pb.ExportRunsRequest(
        audience=value_of(run_pb2.Audience, audience),
        names=chosen.names,
        filter=chosen.filter,
        format=_FORMATS[chosen_kind],
    )

    async def work(access: RecorderAccess) -> int:
        with (
            _written(file, force=force) as target,
            transfer(file.name) as passed,
            remote_errors("recorder"),
        ):
            async for answer in access.stub.ExportRuns(request, timeout=EXPORT_SECONDS):
                target.write(answer.data)
                passed(len(answer.data))
        return _tell(file, chosen_kind)

    try:
        code = run_with_recorder(choice, work)
    except OSError as error:
        click.echo(f"artlab: cannot write {file}: {error.strerror}", err=True)
        code = FAILED
    raise SystemExit(code)


@contextmanager
def _written(file: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A new file beside the one meant, which takes its name once everything is in it."""
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        if file.exists() and not force:
            raise FileExistsError(17, "it exists by now")
        unfinished.replace(file)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def _kind_of(file: Path) -> str:
    ending = file.suffix.removeprefix(".")
    if ending and ending not in _FORMATS:
        raise click.UsageError(f"say what {file} is to be by --format: {', '.join(_FORMATS)}")
    return ending or "zip"


def _tell(file: Path, kind: str) -> int:
    size = format_size(file.stat().st_size)
    if kind == "html":
        click.echo(f"{file}: {size}")
        return OK
    if kind == "jsonl":
        with file.open("rb") as lines:
            click.echo(f"{file}: {_runs(sum(1 for _ in lines))}, {size}")
        return OK
    with zipfile.ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    click.echo(f"{file}: {_runs(len(manifest['runs']))}, {size}")
    for one in manifest["left_out"]:
        click.echo(printable(f"artlab: left out: {one['reason']}: {one['message']}"), err=True)
    return FAILED if manifest["left_out"] else OK


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
