"""One pass of a text through a recipe, as steps ask for it."""

from __future__ import annotations

from dataclasses import replace

from services.kit.errors import Internal
from services.orchestrator.domain.run import PassResult
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
    request = run.plan.request
    hinted_pass = number if entity_type == "interception_pass" else 0
    offset = 0
    async for update in run.services.interception.intercept(
        config_name,
        text,
        language=run.language,
        context=request.context if config_name == run.plan.recipe.name else "",
        mode=request.mode,
        seed=run.plan.seed,
        pass_number=number,
    ):
        if isinstance(update, PassResult):
            return update
        run.hints.text(entity_type, hinted_pass, offset, update)
        offset += len(update)
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
