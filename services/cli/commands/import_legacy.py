"""`artlab import-legacy`: runs of the predecessor into a recorder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from artlab.recorder.v1 import recorder_pb2 as pb
from services.cli.domain.exit_codes import FAILED, OK
from services.cli.domain.printable import printable
from services.cli.recorder_access import (
    RecorderAccess,
    RecorderChoice,
    recorder_options,
    run_with_recorder,
)
from services.kit.errors import AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument
from services.kit.status import remote_errors

if TYPE_CHECKING:
    from services.recorder.legacy.document import LegacyReading

RUN_SECONDS = 3600.0
_LEVELS = ("kids", "youth", "adult", "research")


@dataclass(slots=True)
class _Tally:
    imported: int = 0
    skipped: int = 0
    refused: int = 0
    left_out: list[str] = field(default_factory=list)


@click.command("import-legacy", short_help="Take over the runs of the predecessor.")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--zone",
    metavar="NAME",
    help="Time zone of times that have none, e.g. Europe/Berlin. Default: this machine's.",
)
@click.option(
    "--level",
    "levels",
    multiple=True,
    metavar="NAME=LEVEL",
    help=f"What another name of a safety level means; LEVEL is {', '.join(_LEVELS)}.",
)
@click.option(
    "--leave-out-unknown",
    is_flag=True,
    help="Take runs over without their entities of types that this system does not know.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@recorder_options
def import_legacy(
    folder: Path,
    zone: str | None,
    levels: Sequence[str],
    leave_out_unknown: bool,
    dry_run: bool,
    choice: RecorderChoice,
) -> None:
    """Copy the predecessor's runs below DIR into a recorder, and verify every byte on the way.

    DIR is read only. A run keeps its id if that is a UUID, and gets one that is the same every
    time if it is not; its own metadata.json becomes the last entity of the run, as it was. Runs
    that are here already are skipped, so repeating it does no harm.

    Exit codes: 0 all runs are here now, 1 some could not be taken over, 2 the request was wrong,
    130 interrupted.
    """
    # Only here: the other commands start without the libraries of the services.
    from services.recorder.legacy.folder import find_legacy

    reading = _reading(zone, levels)
    folders = find_legacy(folder)
    if not folders:
        raise click.UsageError(f"no metadata.json of a run below {folder}")
    tally = _Tally()

    async def work(access: RecorderAccess | None) -> int:
        for place, one in enumerate(folders, 1):
            click.echo(f"[{place}/{len(folders)}] {one.name}: ", nl=False)
            click.echo(printable(await _take(access, one, reading, leave_out_unknown, tally)))
        would = "would be " if access is None else ""
        click.echo(
            f"{tally.imported} {would}imported, {tally.skipped} were here already, "
            f"{tally.refused} refused, {len(tally.left_out)} entities left out"
        )
        return FAILED if tally.refused else OK

    if dry_run:
        raise SystemExit(asyncio.run(work(None)))
    raise SystemExit(run_with_recorder(choice, work, make_root=True))


async def _take(
    access: RecorderAccess | None,
    folder: Path,
    reading: LegacyReading,
    leave_out_unknown: bool,
    tally: _Tally,
) -> str:
    """Take one run over and say what became of it."""
    from services.recorder.archive.zip_export import ZipExport
    from services.recorder.domain.vocabulary import Audience
    from services.recorder.legacy.folder import LegacyError, read_run
    from services.recorder.legacy.source import LegacySource

    try:
        found = read_run(folder, reading)
    except LegacyError as error:
        tally.refused += 1
        return f"refused: {error}"
    if found.left_out and not leave_out_unknown:
        tally.refused += 1
        return f"refused: {found.left_out[0]}; --leave-out-unknown takes it over without"
    tally.left_out += found.left_out
    left_out = "".join(f"; left out {one}" for one in found.left_out)
    told = f"{found.run.run_id.name} ({found.run.state.value}){left_out}"
    if access is None:
        tally.imported += 1
        return told
    archive = ZipExport(LegacySource(folder, found), Audience.RESEARCH, exactly=True)
    try:
        with remote_errors("recorder"):
            answer = await access.stub.ImportRuns(
                _requests(archive.pieces([found.run.run_id])), timeout=RUN_SECONDS
            )
    except (AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument) as error:
        # About this run only; anything else ends the command.
        tally.refused += 1
        return f"refused: {error}"
    tally.imported += len(answer.imported)
    tally.skipped += len(answer.skipped)
    return told if answer.imported else f"{told}, was here already"


async def _requests(pieces: Iterator[bytes]) -> AsyncIterator[pb.ImportRunsRequest]:
    for data in pieces:
        yield pb.ImportRunsRequest(data=data)


def _reading(zone: str | None, levels: Sequence[str]) -> LegacyReading:
    from services.recorder.domain.vocabulary import SafetyLevel
    from services.recorder.legacy.document import LegacyReading

    try:
        known = None if zone is None else ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise click.BadParameter("no such time zone", param_hint="--zone") from None
    meant = {}
    for one in levels:
        name, equals, level = one.partition("=")
        if not name or not equals or level not in _LEVELS:
            raise click.BadParameter(
                f"expected NAME=LEVEL, LEVEL one of {', '.join(_LEVELS)}", param_hint="--level"
            )
        meant[name] = SafetyLevel(level)
    return LegacyReading(zone=known, levels=meant)
