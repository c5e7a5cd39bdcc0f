"""`artlab decide`: answer a question that a run waits with."""

from __future__ import annotations

import asyncio

import click

from services.cli.commands.option_types import Prompt, Pseudonym, RunName, url_option
from services.cli.domain.exit_codes import FAILED, INTERRUPTED, OK, USAGE
from services.cli.domain.question import DECISIONS
from services.cli.gateway_client import GatewayClient, GatewayError, GatewayRefused
from services.cli.interrupts import Interrupted, interrupts
from services.cli.settings import CliSettings
from services.kit.settings import load_settings


@click.command(short_help="Answer a question that a run waits with.")
@click.argument("run_id", type=RunName(), metavar="RUN_ID")
@click.argument("question", type=click.IntRange(1, 999_999), metavar="QUESTION")
@click.argument("decision", type=click.Choice(DECISIONS))
@click.option("--text", type=Prompt(), help="With edit: the text to go on with; - is stdin.")
@click.option("--user", type=Pseudonym(), help="Who decides; the person of the run, or a teacher.")
@url_option
def decide(
    run_id: str, question: int, decision: str, text: str | None, user: str | None, url: str | None
) -> None:
    """Answer QUESTION of a run with approve, edit or reject, so that it goes on.

    QUESTION is the number that `artlab run` tells, and open_questions of the HTTP API. Questions
    for teachers are answered at a gateway for teachers (ARTLAB_GATEWAY_TEACHER_DECISIONS).

    Exit codes: 0 the answer counts, 1 nobody answered, or there is another answer already, 2 the
    request was wrong, 130 interrupted.
    """
    if (decision == "edit") != (text is not None):
        raise click.UsageError("edit needs --text, and nothing else takes it")
    settings = load_settings("cli", CliSettings)
    raise SystemExit(
        asyncio.run(_decide(url or settings.url, run_id, question, decision, text, user))
    )


async def _decide(
    url: str, run_id: str, question: int, decision: str, text: str | None, user: str | None
) -> int:
    async def perform() -> str:
        async with GatewayClient(url) as client:
            return await client.decide(
                run_id, question, decision, text=text or "", user_id=user or ""
            )

    with interrupts() as wishes:
        try:
            status = await wishes.unless_asked(perform())
        except Interrupted:
            return INTERRUPTED
        except GatewayError as error:
            click.echo(f"artlab: {error}", err=True)
            wrong = isinstance(error, GatewayRefused) and error.request_is_wrong
            return USAGE if wrong else FAILED
    click.echo(f"{decision} counts; the run is {status}")
    return OK
