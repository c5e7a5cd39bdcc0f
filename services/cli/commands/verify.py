"""`artlab verify`: are run folders, and exports that were unpacked, what was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.domain.exit_codes import FAILED
from services.cli.domain.printable import printable

if TYPE_CHECKING:
    from services.recorder.domain.archive import Manifest


@click.command(short_help="Is a run folder, or an unpacked export, what was recorded?")
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    metavar="FOLDER...",
    type=click.Path(file_okay=False, path_type=Path),
)
def verify(folders: tuple[Path, ...]) -> None:
    """Check run folders: schema, checksum and order of metadata.json, and every file's digest.

    FOLDER may also be an export that was unpacked: then every file in it is checked against its
    manifest.json too. Needs no running service. One line for each defect; exit code 1 if there are
    any.
    """
    # Only here: the other commands start without the libraries of the services.
    from services.recorder.verify import is_export, verify_run
    from services.recorder.verify_export import verify_export

    failed = False
    for folder in folders:
        if is_export(folder):
            manifest, defects = verify_export(folder)
            told = "" if manifest is None else _matched(manifest)
        else:
            defects = verify_run(folder)
            if defects and _is_root(folder):
                defects = ["a folder of runs, not a run: `artlab scrub` looks at all of them"]
            told = "" if defects else _checked(folder)
        failed = failed or bool(defects)
        for defect in defects:
            line = defect if defect.startswith(f"{folder}: ") else f"{folder}: {defect}"
            click.echo(printable(line))
        if not defects:
            click.echo(f"{folder}: {told}")
    if failed:
        raise SystemExit(FAILED)


def _is_root(folder: Path) -> bool:
    from services.recorder.scrub_root import run_folders

    try:
        return bool(run_folders(folder))
    except OSError:
        return False


def _matched(manifest: Manifest) -> str:
    left_out = f"; {len(manifest.left_out)} damaged runs were left out" if manifest.left_out else ""
    return (
        f"as exported for {manifest.audience.value}: {len(manifest.runs)} runs, size and SHA-256 "
        f"of {len(manifest.files)} files{left_out}"
    )


def _checked(folder: Path) -> str:
    document = json.loads((folder / "metadata.json").read_bytes())
    entities, events = document["entities"], document["events"]
    size = sum(entity["size_bytes"] for entity in entities)
    return (
        f"as recorded ({document['status']}): schema and checksum of metadata.json, the order of "
        f"{len(entities)} entities and {len(events)} events, size and SHA-256 of "
        f"{len(entities)} files, {size} bytes"
    )
