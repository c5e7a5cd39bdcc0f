"""`artlab policy`: what is refused at which level, and how it is found out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from services.cli.domain.exit_codes import FAILED
from services.cli.domain.printable import printable
from services.cli.terminal import Terminal
from services.kit.catalogue import CONFIGS, CatalogueError
from services.kit.errors import ArtlabError
from services.kit.settings import load_settings

if TYPE_CHECKING:
    from artlab.safety.v1 import safety_pb2

LEVELS = ("kids", "youth", "adult", "research")
PURPOSES = (
    *("input", "context", "translation", "interception", "media_prompt", "code"),
    *("image", "input_image"),
)
CALL_SECONDS = 10.0
_TARGET = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,200}:[0-9]{1,5}", re.ASCII)


def _parse_target(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and _TARGET.fullmatch(value) is None:
        raise click.BadParameter("expected an address such as 127.0.0.1:17803")
    return value


@click.command(short_help="What is refused at which level, and how is it found out?")
@click.option(
    "--level",
    "levels",
    multiple=True,
    type=click.Choice(LEVELS),
    help="This level only. May be repeated. Default: all.",
)
@click.option(
    "--purpose",
    "purposes",
    multiple=True,
    type=click.Choice(PURPOSES),
    help="Texts or pictures for this purpose only. May be repeated. Default: all.",
)
@click.option("--json", "as_json", is_flag=True, help="The whole table as one JSON document.")
@click.option("--markdown", is_flag=True, help="Tables in Markdown, as in docs/safety.md.")
@click.option(
    "--configs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the catalogue. Default: that of the safety service.",
)
@click.option(
    "--running",
    metavar="HOST:PORT",
    callback=_parse_target,
    help="Ask the safety service there for the table that is in force.",
)
def policy(
    levels: tuple[str, ...],
    purposes: tuple[str, ...],
    as_json: bool,
    markdown: bool,
    configs: Path | None,
    running: str | None,
) -> None:
    """Show the policy of the safety service, by its files and settings or as it runs.

    A cell says from which severity on a category is refused: mild, strong or extreme. Exit code 1,
    and a line for each defect, when the policy is broken, when a judge it requires is not set up,
    or when nobody answers.
    """
    # Only here: the other commands start without the libraries of the services.
    from services.cli.policy_document import policy_document

    if as_json and markdown:
        raise click.UsageError("--json or --markdown, not both")
    if running and configs:
        raise click.UsageError("--running or --configs, not both")
    try:
        found, missing = asyncio.run(_ask(running)) if running else asyncio.run(_read(configs))
    except CatalogueError as error:
        for defect in error.defects:
            click.echo(printable(str(defect)))
        count = len(error.defects)
        click.echo(f"artlab: {count} defect{'s' if count > 1 else ''} in the policy", err=True)
        raise SystemExit(FAILED) from error
    except ArtlabError as error:
        click.echo(printable(f"artlab: no policy: {error}"), err=True)
        raise SystemExit(FAILED) from error
    document = policy_document(found, levels, purposes)
    if as_json:
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(document, markdown)
    for line in missing:
        click.echo(f"artlab: {line}", err=True)
    if missing:
        raise SystemExit(FAILED)


def _show(document: dict[str, Any], markdown: bool) -> None:
    from services.cli.policy_tables import list_tables, policy_tables

    tables = policy_tables(document)
    if markdown:
        # Without what changes with every term, so that a document stays true.
        click.echo("\n\n".join(table.markdown() for table in tables))
        return
    terminal = Terminal()
    judges = ", ".join([*document["judges"], *document["image_judges"]])
    heading = f"level {document['level']}; version {document['version']}; judges {judges}"
    terminal.print(printable(heading), markup=False)
    always = ", ".join(document["always_refused"])
    terminal.print(f"refused at every level: {printable(always)}", markup=False)
    for table in [*tables, *list_tables(document)]:
        terminal.print(f"\n{table.title}", style="bold", markup=False)
        terminal.print(table.rich())


async def _read(configs: Path | None) -> tuple[safety_pb2.GetPolicyResponse, list[str]]:
    from services.safety.__main__ import compose_images
    from services.safety.catalogue import load_safety
    from services.safety.domain.levels import LEVELS_BY_LABEL
    from services.safety.judge.builtin import BuiltinJudge
    from services.safety.ports import BUILTIN, LANGUAGE_MODEL
    from services.safety.settings import SafetySettings
    from services.safety.translate_policy import to_policy
    from services.safety.workers import Workers

    settings = load_settings("safety", SafetySettings)
    safety = load_safety((configs or settings.configs or CONFIGS) / "safety")
    judges = {BUILTIN: BuiltinJudge(safety.rules, Workers()).version}
    if settings.judge_base_url:
        judges[LANGUAGE_MODEL] = f"openai:{settings.judge_model}"
    async with AsyncExitStack() as stack:
        images = compose_images(settings, safety, stack)
        looking = {judge.name: judge.version for judge in images.judges}
    level = LEVELS_BY_LABEL[settings.level]
    found = to_policy(safety, level, list(judges.values()), list(looking.values()))
    return found, list(dict.fromkeys(_missing(found, set(judges), set(looking))))


def _missing(
    found: safety_pb2.GetPolicyResponse, judges: set[str], looking: set[str]
) -> Iterator[str]:
    """What the policy requires at the server's level, or a stricter one, and nobody set up."""
    for row in found.rows:
        for check in row.checks:
            for name in check.judges:
                if row.level <= found.level and name not in judges:
                    yield f"{name} must judge texts, and ARTLAB_SAFETY_JUDGE_BASE_URL is not set"
    for one in found.image_rows:
        for name in one.judges:
            if one.checked and one.level <= found.level and name not in looking:
                yield f"{name} must judge pictures and is not set up"


async def _ask(target: str) -> tuple[safety_pb2.GetPolicyResponse, list[str]]:
    from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
    from services.kit.channel import open_channel
    from services.kit.status import remote_errors

    async with open_channel(target) as channel:
        stub = safety_pb2_grpc.SafetyServiceStub(channel)
        with remote_errors("safety"):
            found = await stub.GetPolicy(safety_pb2.GetPolicyRequest(), timeout=CALL_SECONDS)
        return found, []
