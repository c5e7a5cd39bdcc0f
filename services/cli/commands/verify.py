"""`artlab verify`: are run folders what their metadata says."""

from __future__ import annotations

import json
from pathlib import Path

import click

from services.cli.domain.exit_codes import FAILED
from services.cli.domain.printable import printable


@click.command(short_help="Is a run folder what was recorded?")
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    metavar="RUN_FOLDER...",
    type=click.Path(file_okay=False, path_type=Path),
)
def verify(folders: tuple[Path, ...]) -> None:
    """Check run folders: schema, checksum and order of metadata.json, and every file's digest.

    Needs no running service. One line for each defect; exit code 1 if there are any.
    """
    # Only here: the other commands start without the libraries of the services.
    from services.recorder.verify import verify_run

    failed = False
    for folder in folders:
        defects = verify_run(folder)
        failed = failed or bool(defects)
        for defect in defects:
            told = defect if defect.startswith(f"{folder}: ") else f"{folder}: {defect}"
            click.echo(printable(told))
        if not defects:
            click.echo(f"{folder}: {_checked(folder)}")
    if failed:
        raise SystemExit(FAILED)


def _checked(folder: Path) -> str:
    document = json.loads((folder / "metadata.json").read_bytes())
    entities, events = document["entities"], document["events"]
    size = sum(entity["size_bytes"] for entity in entities)
    return (
        f"as recorded ({document['status']}): schema and checksum of metadata.json, the order of "
        f"{len(entities)} entities and {len(events)} events, size and SHA-256 of "
        f"{len(entities)} files, {size} bytes"
    )
