"""A check of any text, for pipelines that make one elsewhere than the four stages do."""

from __future__ import annotations

from services.kit.errors import InvalidArgument
from services.orchestrator.domain.documents import blocking
from services.orchestrator.domain.run import Purpose, Verdict
from services.orchestrator.engine.step import JsonObject, StepScope
from services.orchestrator.record import ITERATION, STEP
from services.orchestrator.run_in_work import Blocked, RunInWork, digest_of
from services.orchestrator.steps.place import run_of, text_in, upload_word
from services.orchestrator.steps.pre_output_safety import TEXT_SHA256

TYPE = "check_text"
_PURPOSES: tuple[Purpose, ...] = ("input", "context", "translation", "interception", "code")


class CheckText:
    """Takes `text`; gives it back when it is safe for a model. `config.purpose` says as what.

    A purpose is one of input, context, translation, interception (which is the default) and code;
    what a renderer gets is checked by pre_output_safety.
    """

    TAKES = frozenset({"text"})
    GIVES = frozenset({"text"})

    @staticmethod
    def check_config(config: JsonObject, step: str) -> None:
        """Raise InvalidArgument STEP_CONFIG_INVALID for a purpose that there is not."""
        purpose_in(config, step)

    async def restore(self, inputs: JsonObject, scope: StepScope) -> JsonObject | None:
        """Return the text when it was found safe before. Raises Blocked for a recorded no."""
        run, text = run_of(scope), text_in(inputs, scope)
        return await recall_check(run, scope, text)

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Check it. Raises Blocked, or an ArtlabError for no answer."""
        run, text = run_of(scope), text_in(inputs, scope)
        stage = max(1, run.journal.stages.get(scope.output_index, run.journal.stage_now))
        await run.journal.stage(stage, scope.step, scope.output_index)
        await check_and_record(run, scope, stage, text, purpose_in(scope.config, scope.step))
        return {"text": text}


def purpose_in(config: JsonObject, step: str) -> Purpose:
    """Return what a text is to be checked as. Raises InvalidArgument STEP_CONFIG_INVALID."""
    given = config.get("purpose", "interception")
    for purpose in _PURPOSES:
        if given == purpose:
            return purpose
    known = ", ".join(_PURPOSES)
    raise InvalidArgument(
        "STEP_CONFIG_INVALID",
        f"expected one of {known}",
        field=f"steps.{step}.config.purpose",
    )


async def recall_check(run: RunInWork, scope: StepScope, text: str) -> JsonObject | None:
    """Return the text when the record says that it is safe. Raises Blocked for a recorded no."""
    for evidence in run.record.all("safety", marks=_marks(scope), output_index=scope.output_index):
        if evidence.metadata.get(TEXT_SHA256) != digest_of(text):
            continue
        no = blocking(await run.record.verdicts(evidence))
        if no is None:
            run.mark_checked(text)
            return {"text": text}
        await run.journal.explain(
            _upload(scope, text),
            no,
            stage=evidence.stage,
            output_index=scope.output_index,
            metadata=_marks(scope),
            attempt=evidence.attempt,
        )
        raise Blocked(evidence.stage, no)
    return None


async def check_and_record(
    run: RunInWork, scope: StepScope, stage: int, text: str, purpose: Purpose
) -> None:
    """Have a text judged and record the verdict, whatever it is. Raises Blocked for a no."""
    began, verdicts = run.journal.begin(), list[Verdict]()
    blocked: Blocked | None = None
    try:
        await run.check(stage, verdicts, purpose, text)
    except Blocked as no:
        blocked = no
    await run.journal.verdicts(
        _upload(scope, text),
        "safety",
        verdicts,
        began,
        stage=stage,
        output_index=scope.output_index,
        metadata=_marks(scope),
        evidence={TEXT_SHA256: digest_of(text)},
    )
    if blocked is not None:
        raise blocked
    run.mark_checked(text)


def _marks(scope: StepScope) -> dict[str, str]:
    return {STEP: scope.step, ITERATION: str(scope.iteration)}


def _upload(scope: StepScope, text: str) -> str:
    # Named by its text as well: one step may check what it is given and what it makes of it.
    about = f"-{scope.output_index}" if scope.output_index else ""
    return f"safety-{upload_word(scope.step)}-{scope.iteration}{about}-{digest_of(text)[:8]}"
