"""`artlab import`: the runs of an export into a recorder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import click

from artlab.recorder.v1 import recorder_pb2 as pb
from services.cli.domain.exit_codes import FAILED, OK
from services.cli.recorder_access import (
    RecorderAccess,
    RecorderChoice,
    recorder_options,
    run_with_recorder,
)
from services.cli.transfer import transfer
from services.kit.status import remote_errors

IMPORT_SECONDS = 6 * 3600.0
PIECE_BYTES = 256 * 1024


@click.command("import", short_help="Take in the runs of an exported ZIP file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@recorder_options
def import_runs(file: Path, choice: RecorderChoice) -> None:
    """Take in the runs of FILE, a ZIP file that `artlab export` made for research.

    Everything in it is verified before any run becomes visible. Runs that are here already are
    skipped, so repeating it does no harm. Needs no running service: without one, the recorder is
    started for the time of the command.

    Exit codes: 0 all of its runs are here now, 1 they are not, 2 the request was wrong, 130
    interrupted.
    """
    size = file.stat().st_size

    async def work(access: RecorderAccess) -> int:
        async def requests() -> AsyncIterator[pb.ImportRunsRequest]:
            async for data in transfer(_pieces(file), file.name, size):
                yield pb.ImportRunsRequest(data=data)

        with remote_errors("recorder"):
            answer = await access.stub.ImportRuns(requests(), timeout=IMPORT_SECONDS)
        for name in answer.imported:
            click.echo(f"imported {name}")
        click.echo(f"{len(answer.imported)} imported, {len(answer.skipped)} were here already")
        return OK

    try:
        code = run_with_recorder(choice, work, make_root=True)
    except OSError as error:
        click.echo(f"artlab: cannot read {file}: {error.strerror}", err=True)
        code = FAILED
    raise SystemExit(code)


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as source:
        while data := source.read(PIECE_BYTES):
            yield data
