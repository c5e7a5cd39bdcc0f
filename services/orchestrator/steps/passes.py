"""One pass of a text through a recipe, as steps ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from services.kit.errors import Internal
from services.orchestrator.domain.run import PassResult
from services.orchestrator.ports import LinePlace, PassJob, TextUpdate
from services.orchestrator.run_in_work import RunInWork

TRANSLATION = "translation_en"
# Where two texts meet, this much of each is checked together.
SEAM_CHARACTERS = 2_000


async def one_pass(
    run: RunInWork, config_name: str, entity_type: str, text: str, number: int = 1
) -> PassResult:
    """Have a text written; its growth is hinted as that of an entity of this type.

    The person's own rules go to the run's recipe only. Raises an ArtlabError when it could not be
    done.
    """
    result, attempt = await run.counted(lambda: _once(run, config_name, entity_type, text, number))
    # The writer may have asked its model more than once itself.
    return replace(result, attempt=attempt - 1 + result.attempt)


async def _once(
    run: RunInWork, config_name: str, entity_type: str, text: str, number: int
) -> PassResult:
    request, recipe = run.plan.request, run.plan.recipe
    own = config_name == recipe.name
    job = PassJob(
        config_name=config_name,
        text=text,
        language=run.language,
        context=request.context if own else "",
        # The recipe's promise holds for the translation before it as well.
        mode="eco" if recipe.local_only else request.mode,
        seed=run.plan.seed,
        number=number,
        user_id=request.user_id,
        # Of a recipe that somebody may be writing on, what was checked is what is used.
        recipe_sha256=recipe.sha256 if own and recipe.is_local else "",
    )
    hinted_pass = number if entity_type == "interception_pass" else 0
    return await followed(run, run.services.interception.intercept(job), entity_type, hinted_pass)


async def followed(
    run: RunInWork,
    updates: AsyncIterator[TextUpdate],
    entity_type: str,
    pass_number: int = 0,
    output_index: int = 0,
) -> PassResult:
    """Return what comes of a text that is written, and hint how it grows."""
    offset, waits = 0, False
    try:
        async for update in updates:
            if isinstance(update, PassResult):
                return update
            if isinstance(update, LinePlace):
                waits = True
                run.hints.place(entity_type, update.position, output_index)
                continue
            if waits:
                waits = False
                run.hints.place(entity_type, 0, output_index)
            # Several outputs may have their prompts written at once, and a hint does not tell them
            # apart: those come whole.
            if not output_index:
                run.hints.text(entity_type, pass_number, offset, update)
            offset += len(update)
    finally:
        if waits:
            # Whatever came of it, it stands in no line any more.
            run.hints.place(entity_type, 0, output_index)
    raise Internal("INTERCEPTION_PROTOCOL", "the stream ended without a result")


def told_of(run: RunInWork, result: PassResult) -> dict[str, str]:
    """Return the metadata of a text that was written."""
    return {
        "seed": str(run.plan.seed),
        **result.parameters,
        "from_language": result.from_language,
        "to_language": result.to_language,
    }


def seam(first: str, second: str) -> str:
    """Return the end of a text and the beginning of the next one.

    A forbidden word can be split over two fields; a model reads them one after the other.
    """
    return f"{first[-SEAM_CHARACTERS:]}\n{second[:SEAM_CHARACTERS]}"
