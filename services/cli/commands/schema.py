"""`artlab schema`: what an editor needs to check a file of the catalogue while it is written."""

from __future__ import annotations

import click


@click.command(short_help="Print the JSON Schema of a recipe, an output or the table of models.")
@click.argument("kind", type=click.Choice(("recipe", "output", "models")))
def schema(kind: str) -> None:
    """Print the JSON Schema of a KIND of file, for editors.

    The same is kept in configs/schema. It knows fields, types and bounds; what hangs together
    across fields and files is told by `artlab check`.
    """
    # Only here: the other commands start without the libraries of the services.
    from services.cli.schemas import schema_text

    click.echo(schema_text(kind), nl=False)
