"""`artlab check`: the catalogue as a whole, before anything starts."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.domain.exit_codes import FAILED
from services.kit.catalogue import CONFIGS


@click.command(short_help="Validate the catalogue; list every defect.")
@click.option(
    "--configs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=CONFIGS,
    help="Folder of the catalogue. Default: configs/ of this installation.",
)
def check(configs: Path) -> None:
    """Read the whole catalogue as the services do, and list every defect.

    One line for each: file: field: reason. Exit code 1 if there are any.
    """
    # Only here: the other commands start without the libraries of the services.
    from services.cli.catalogue import check_catalogue

    found = check_catalogue(configs)
    for defect in found.defects:
        click.echo(str(defect))
    if found.defects:
        count = len(found.defects)
        click.echo(f"artlab: {count} defect{'s' if count > 1 else ''} in {configs}", err=True)
        raise SystemExit(FAILED)
    click.echo(
        f"{found.recipes} recipes, {found.outputs} outputs, safety lists {found.safety}: no defects"
    )
