"""`artlab evaluate`: how good the checks are, in figures, without any service."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from services.cli.domain.exit_codes import FAILED
from services.cli.domain.printable import printable
from services.cli.terminal import Terminal
from services.kit.errors import ArtlabError
from services.kit.settings import load_settings

if TYPE_CHECKING:
    from services.safety.evaluation.evaluation import Evaluation
    from services.safety.evaluation.judging import Outcome
    from services.safety.settings import SafetySettings

PARTS = ("development", "test")
LEVELS = ("kids", "youth", "adult", "research")


@click.group(short_help="How good are the checks?")
def evaluate() -> None:
    """Measure how good the checks are. Needs no running service."""


@evaluate.command(short_help="How much of the corpus is judged as it should be?")
@click.option(
    "--part",
    type=click.Choice([*PARTS, "all"]),
    default="development",
    show_default=True,
    help="Part of the corpus. Nothing may be tuned to the test part; its figures are those that "
    "count.",
)
@click.option(
    "--level",
    "levels",
    multiple=True,
    type=click.Choice(LEVELS),
    help="Judge at this level only. May be repeated. Default: all.",
)
@click.option("--json", "as_json", is_flag=True, help="All figures as one JSON document.")
@click.option("--markdown", is_flag=True, help="Tables in Markdown, as in docs/safety.md.")
@click.option(
    "--misses",
    is_flag=False,
    flag_value="development",
    type=click.Choice(["development", "all"]),
    help="List what went wrong too: of the development part, or with `--misses all` also of the "
    "test part.",
)
@click.option("--require", is_flag=True, help="Exit code 1 when an aim is missed.")
def safety(
    part: str,
    levels: tuple[str, ...],
    as_json: bool,
    markdown: bool,
    misses: str | None,
    require: bool,
) -> None:
    """Judge the corpus of configs/safety/corpus by the policy, and print how well that goes.

    Harmless sentences, some near the lists, provocative and forbidden ones are judged at every
    level, typed and as media prompts; words are hidden in some thirty ways; every sentence is
    written in other forms; long texts are timed. The language model that is set up for the safety
    service (ARTLAB_SAFETY_JUDGE_…) judges too; then forms and long texts are left out.
    """
    # Only here: the other commands start without the libraries of the services.
    from services.cli.evaluation_document import document_of
    from services.cli.evaluation_tables import tables_of
    from services.safety.evaluation.figures import misses as misses_of
    from services.safety.settings import SafetySettings

    if as_json and markdown:
        raise click.UsageError("--json or --markdown, not both")
    settings = load_settings("safety", SafetySettings)
    # What a judge says of a text in the log is counted here, thousands of times.
    logging.getLogger("services.safety.judge").setLevel(logging.ERROR)
    chosen = PARTS if part == "all" else (part,)
    try:
        with _progress() as progress:
            found, about = asyncio.run(_evaluate(settings, chosen, levels or LEVELS, progress))
    except ArtlabError as error:
        click.echo(printable(f"artlab: not evaluated: {error}"), err=True)
        raise SystemExit(FAILED) from error
    missed = [
        one
        for one in (misses_of(found.outcomes) if misses else ())
        if misses == "all" or one.trial.source.part == "development"
    ]
    if as_json:
        click.echo(json.dumps(document_of(found, about, missed), ensure_ascii=False, indent=2))
    else:
        heading = "; ".join(f"{name} {value}" for name, value in about.items())
        tables = tables_of(found.figures, found.aims)
        if markdown:
            click.echo("\n\n".join([f"{heading}.", *(table.markdown() for table in tables)]))
        else:
            terminal = Terminal()
            terminal.print(heading, markup=False)
            for table in tables:
                terminal.print(f"\n{table.title}", style="bold", markup=False)
                terminal.print(table.rich())
        for one in missed:
            click.echo(printable(_told(one)))
    if require and not all(aim.met for aim in found.aims):
        unmet = ", ".join(aim.name for aim in found.aims if not aim.met)
        click.echo(f"artlab: aims missed: {unmet}", err=True)
        raise SystemExit(FAILED)


async def _evaluate(
    settings: SafetySettings,
    parts: Sequence[str],
    levels: Sequence[str],
    progress: Callable[[int, int], None],
) -> tuple[Evaluation, dict[str, str]]:
    from services.kit.program import Program
    from services.safety.__main__ import compose_texts
    from services.safety.catalogue import load_safety
    from services.safety.domain.levels import LEVELS_BY_LABEL
    from services.safety.evaluation.corpus import Part, load_corpus, read_frozen
    from services.safety.evaluation.evaluation import evaluate as judge_all

    # Every level is judged by one checker, and a server's own only bounds what is asked of it.
    settings = settings.model_copy(update={"level": max(levels, key=LEVELS.index)})
    safety = load_safety(settings.configs / "safety")
    folder = settings.configs / "safety" / "corpus"
    corpus = load_corpus(folder, [Part(part) for part in parts], safety.policy.categories)
    frozen = read_frozen(folder)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        program = Program("evaluate", group, stack)
        try:
            checker = compose_texts(settings, safety, program, None)
            found = await judge_all(
                checker,
                corpus,
                [LEVELS_BY_LABEL[level] for level in LEVELS if level in levels],
                models_at_once=settings.judge_at_once if settings.judge_base_url else 0,
                progress=progress,
            )
        finally:
            program.cancel_tasks()
    state = "" if frozen.intact else " CHANGED since it was frozen"
    return found, {
        "part": f"{' and '.join(parts)}, {len(corpus.sentences)} sentences",
        "test part": f"version {frozen.version}{state}",
        "corpus": corpus.digest[:8],
        "lists": safety.version,
        "judges": ", ".join(judge.version for judge in checker.judges),
    }


def _told(one: Outcome) -> str:
    trial = one.trial
    verdict = f"refused ({one.why})" if one.refused else "not refused"
    if one.refused is None:
        verdict = f"not judged ({one.why})"
    about = f"{trial.asked} {trial.level.label} {trial.purpose} {trial.source.language}"
    return f"{about}, {trial.way}: {verdict}: {trial.text!r}"


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar where somebody watches; figures go to the other stream."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("judging", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
