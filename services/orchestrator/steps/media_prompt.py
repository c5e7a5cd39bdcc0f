"""Stage 3, before its check: a text is put the way the medium of an output wants it.

Only where the output's config names a style, and never for a recipe whose words are to stay. What
comes of it is recorded as `media_prompt` and checked by pre_output_safety like any text that a
renderer gets. When it cannot be written the output is made of the text as it is, with a warning:
nobody loses a picture because its words could have been better.
"""

from __future__ import annotations

import logging

from services.kit.errors import ArtlabError
from services.kit.log import facts
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import PassResult, RecordedEntity, RenderWarning
from services.orchestrator.engine.step import JsonObject, StepScope
from services.orchestrator.ports import RewriteJob
from services.orchestrator.run_in_work import RunInWork, digest_of
from services.orchestrator.steps.check_text import check_and_record, recall_check
from services.orchestrator.steps.passes import followed, told_of
from services.orchestrator.steps.place import Place, output_of, place_of, run_of, text_in
from services.orchestrator.steps.pre_output_safety import evidence_for

log = logging.getLogger(__name__)

TYPE = "media_prompt"
# In the metadata of the entity: of which text it is, and how it is put.
SOURCE_SHA256, STYLE = "source_sha256", "style"
_NOT_REWRITTEN = RenderWarning(
    "PROMPT_NOT_REWRITTEN", "it could not be put for its medium, and is made of the text as it is"
)


class MediaPrompt:
    """Takes `text`; gives the `text` for the renderer, the same one where nothing is to be done."""

    TAKES = frozenset({"text"})
    GIVES = frozenset({"text"})

    async def restore(self, inputs: JsonObject, scope: StepScope) -> JsonObject | None:
        """Return the text that was recorded. Raises Blocked for a recorded no."""
        run, place, text = run_of(scope), place_of(scope, TYPE), text_in(inputs, scope)
        output = output_of(scope, run)
        if not output.prompt_style:
            return {"text": text}
        await recall_check(run, scope, text)
        found = _recorded(run, place, output, text)
        if found is not None:
            return {"text": await run.record.text(found)}
        # It could not be put otherwise, and what is made of it is under way: that stays so.
        return None if evidence_for(run, output, text) is None else {"text": text}

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Check the text, and have it put for its medium. Raises Blocked, or an ArtlabError."""
        run, place, text = run_of(scope), place_of(scope, TYPE), text_in(inputs, scope)
        output = output_of(scope, run)
        await run.journal.stage(3, scope.step, output.index)
        # What the last pass wrote was for a person; now it goes to a model. For each output anew:
        # whoever goes on with the run finds it where it was made.
        if await recall_check(run, scope, text) is None:
            await check_and_record(run, scope, 3, text, "interception")
        began = run.journal.begin()
        try:
            result, attempt = await run.counted(lambda: _rewrite(run, output, text))
        except ArtlabError as error:
            log.warning("prompt not rewritten", extra=facts(reason=error.reason))
            await run.journal.warning(output.index, _NOT_REWRITTEN)
            return {"text": text}
        await run.journal.text(
            place.upload(f"output-{output.index}-media-prompt"),
            "media_prompt",
            result.text,
            began,
            stage=3,
            audience="advanced",
            output_index=output.index,
            metadata={
                **told_of(run, result),
                STYLE: output.prompt_style,
                SOURCE_SHA256: digest_of(text),
                **place.marks,
            },
            models=[result.used],
            attempt=attempt - 1 + result.attempt,
        )
        return {"text": result.text}


async def _rewrite(run: RunInWork, output: PlannedOutput, text: str) -> PassResult:
    request, recipe = run.plan.request, run.plan.recipe
    job = RewriteJob(
        text=text,
        style=output.prompt_style,
        kind=output.kind,
        # Not of what the person wrote: the recipe may have changed it.
        language="",
        # A promise of the plan's, whatever has become of the recipe meanwhile.
        mode="eco" if recipe.local_only else request.mode,
        seed=output.seed,
        user_id=request.user_id,
        recipe=recipe.name,
    )
    updates = run.services.interception.rewrite(job)
    return await followed(run, updates, "media_prompt", output_index=output.index)


def _recorded(
    run: RunInWork, place: Place, output: PlannedOutput, text: str
) -> RecordedEntity | None:
    digest = digest_of(text)
    for entity in run.record.all("media_prompt", output_index=output.index, marks=place.marks):
        told = entity.metadata
        if told.get(SOURCE_SHA256) == digest and told.get(STYLE) == output.prompt_style:
            return entity
    return None
