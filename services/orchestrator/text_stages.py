"""Stages 1 and 2: from what a person typed to the text an output is made of.

Nothing unchecked reaches a model: not what was typed, not the person's own rules, not a text for a
slot of an output, not a translation, not what one pass hands to the next.
"""

from __future__ import annotations

from dataclasses import replace

from services.kit.errors import ArtlabError, Internal
from services.orchestrator.domain.run import PassResult, Verdict
from services.orchestrator.run_in_work import Blocked, RunInWork

TRANSLATION = "translation_en"
# Where two texts meet, this much of each is checked together.
SEAM_CHARACTERS = 2_000


class TextStages:
    """The text of one run."""

    def __init__(self, run: RunInWork) -> None:
        self._run = run

    async def understand(self) -> str:
        """Stage 1: check what was typed, translate it, check that; return the text to go on with.

        Raises Blocked, or an ArtlabError when a check or the translation could not be made.
        """
        request, journal = self._run.plan.request, self._run.journal
        await journal.stage(1, "translation_and_safety")
        began = journal.begin()
        await self._run.know_language()
        verdicts: list[Verdict] = []
        text = request.input_text
        try:
            await self._run.check(1, verdicts, "input", request.input_text)
            if request.context:
                await self._run.check(1, verdicts, "context", request.context)
                await self._run.check(1, verdicts, "context", seam(request.context, text))
            for slot_text in self._run.plan.slot_texts:
                await self._run.check(1, verdicts, "context", slot_text)
                await self._run.check(1, verdicts, "context", seam(slot_text, text))
            if self._run.plan.recipe.translates_input:
                text = await self._translate(verdicts)
        except (Blocked, ArtlabError):
            if verdicts:
                await journal.verdicts("safety", "safety", verdicts, began, stage=1)
            raise
        await journal.verdicts("safety", "safety", verdicts, began, stage=1)
        return text

    async def _translate(self, verdicts: list[Verdict]) -> str:
        began = self._run.journal.begin()
        original = self._run.plan.request.input_text
        result = await self._pass(TRANSLATION, "translation", original, 1)
        blocked: Blocked | None = None
        try:
            if result.text != original:
                await self._run.check(1, verdicts, "translation", result.text)
                if self._run.plan.request.context:
                    joined = seam(self._run.plan.request.context, result.text)
                    await self._run.check(1, verdicts, "context", joined)
        except Blocked as no:
            blocked = no
        await self._run.journal.text(
            "translation",
            "translation",
            result.text,
            began,
            stage=1,
            audience="research" if blocked else "advanced",
            metadata={
                **self._metadata(result),
                "translated": "true" if result.translated else "false",
            },
            models=[result.used],
            attempt=result.attempt,
        )
        if blocked is not None:
            raise blocked
        return result.text

    async def intercept(self, text: str) -> str:
        """Stage 2: take the text through the recipe, pass by pass; return what came of it.

        Raises Blocked, or an ArtlabError when a pass or a check could not be made.
        """
        journal, recipe = self._run.journal, self._run.plan.recipe
        await journal.stage(2, "interception")
        began = journal.begin()
        result: PassResult | None = None
        recursive = recipe.passes > 1
        for number in range(1, recipe.passes + 1):
            pass_began = journal.begin()
            if result is not None:
                await self._check_between(result)
            entity_type = "interception_pass" if recursive else "interception"
            result = await self._pass(recipe.name, entity_type, text, number)
            text = result.text
            if recursive:
                await journal.text(
                    f"interception-pass-{number}",
                    "interception_pass",
                    text,
                    pass_began,
                    stage=2,
                    audience="advanced",
                    pass_number=number,
                    metadata=self._metadata(result),
                    models=[result.used],
                    attempt=result.attempt,
                )
        if result is None:
            raise Internal("NO_PASSES", f"{recipe.name} has no passes")
        await journal.text(
            "interception",
            "interception",
            text,
            began,
            stage=2,
            audience="student",
            metadata=self._metadata(result),
            models=[result.used],
            attempt=result.attempt,
        )
        return text

    async def _check_between(self, result: PassResult) -> None:
        # A pass may say what its input did not; the next model must not see it unchecked.
        began, verdicts = self._run.journal.begin(), list[Verdict]()
        try:
            await self._run.check(2, verdicts, "interception", result.text)
            if self._run.plan.request.context:
                joined = seam(self._run.plan.request.context, result.text)
                await self._run.check(2, verdicts, "context", joined)
        except Blocked:
            await self._run.journal.verdicts(
                f"safety-pass-{result.number}",
                "safety",
                verdicts,
                began,
                stage=2,
                pass_number=result.number,
            )
            raise

    async def _pass(self, config_name: str, entity_type: str, text: str, number: int) -> PassResult:
        result, attempt = await self._run.counted(
            lambda: self._pass_once(config_name, entity_type, text, number)
        )
        # The writer may have asked its model more than once itself.
        return replace(result, attempt=attempt - 1 + result.attempt)

    async def _pass_once(
        self, config_name: str, entity_type: str, text: str, number: int
    ) -> PassResult:
        request = self._run.plan.request
        hinted_pass = number if entity_type == "interception_pass" else 0
        offset = 0
        async for update in self._run.services.interception.intercept(
            config_name,
            text,
            language=self._run.language,
            context=request.context if config_name == self._run.plan.recipe.name else "",
            mode=request.mode,
            seed=self._run.plan.seed,
            pass_number=number,
        ):
            if isinstance(update, PassResult):
                return update
            self._run.hints.text(entity_type, hinted_pass, offset, update)
            offset += len(update)
        raise Internal("INTERCEPTION_PROTOCOL", "the stream ended without a result")

    def _metadata(self, result: PassResult) -> dict[str, str]:
        return {
            "seed": str(self._run.plan.seed),
            **result.parameters,
            "from_language": result.from_language,
            "to_language": result.to_language,
        }


def seam(first: str, second: str) -> str:
    """Return the end of a text and the beginning of the next one.

    A forbidden word can be split over two fields; a model reads them one after the other.
    """
    return f"{first[-SEAM_CHARACTERS:]}\n{second[:SEAM_CHARACTERS]}"
