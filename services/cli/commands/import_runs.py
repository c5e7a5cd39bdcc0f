"""`artlab import`: the runs of an export into a recorder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc
from services.cli.domain.exit_codes import FAILED, OK
from services.cli.recorder_access import (
    RecorderAccess,
    RecorderChoice,
    recorder_options,
    run_with_recorder,
)
from services.cli.transfer import transfer
from services.kit.channel import open_sync_channel
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
        answer = await _send(access.target, file, size)
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


async def _send(target: str, file: Path, size: int) -> pb.ImportRunsResponse:
    # Not by asyncio: a refusal in the middle of a stream may arrive there as INTERNAL, because
    # grpc.aio takes the failed send for the end of the call.
    with open_sync_channel(target) as channel:
        stub: Any = recorder_pb2_grpc.RecorderServiceStub(channel)
        call = stub.ImportRuns.future(_requests(file, size), timeout=IMPORT_SECONDS)
        try:
            with remote_errors("recorder"):
                return cast(pb.ImportRunsResponse, await asyncio.to_thread(call.result))
        finally:
            call.cancel()


def _requests(file: Path, size: int) -> Iterator[pb.ImportRunsRequest]:
    with file.open("rb") as source, transfer(file.name, size) as passed:
        while data := source.read(PIECE_BYTES):
            yield pb.ImportRunsRequest(data=data)
            passed(len(data))
