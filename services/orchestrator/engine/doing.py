"""Does one step: found in the record or tried, again where that may help. Pure."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import PurePath
from typing import Any, TypeVar

from services.kit.errors import ArtlabError, DeadlineExceeded, Internal
from services.kit.log import facts
from services.orchestrator.engine.graph import Retry, StepDefinition
from services.orchestrator.engine.kinds import factory_of
from services.orchestrator.engine.step import (
    Attempt,
    Json,
    JsonObject,
    Step,
    StepBlocked,
    StepResult,
    StepScope,
    StepWaits,
)
from services.orchestrator.engine.template import fill
from services.orchestrator.engine.work import Work

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_OUTPUT_CHARACTERS = 256 * 1024
RETRYABLE = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")


@dataclass(frozen=True, slots=True)
class Done:
    """How a step ended, and whether it finds that itself the next time (`Remembering`)."""

    result: StepResult
    remembers: bool = False


async def do_step(
    work: Work, step: StepDefinition, iteration: int, output_index: int, known: Mapping[str, Json]
) -> Done:
    """Do a step, or find out how it ended before.

    Raises StepWaits, and ArtlabError from the memory and for fatal reasons.
    """
    plain = StepResult(step.id, step.index, "succeeded", {}, iteration, output_index=output_index)
    try:
        instance = factory_of(step.kind, work.factories)()
        remembers = hasattr(instance, "restore")
    except ArtlabError as error:
        return Done(_badly(plain, error))
    if not remembers:
        kept = await work.memory.recall(step.id, iteration, output_index)
        if kept is not None:
            return Done(from_kept(plain, kept))
    scope = StepScope(work.run_id, step.id, iteration, 1, step.config, work.services, output_index)
    return Done(await _Tries(work, step, instance, scope, known, plain).end(), remembers)


class _OfDriver(Exception):
    """An error of the memory or the observer: it is not the step that failed."""

    def __init__(self, error: ArtlabError) -> None:
        super().__init__(error.reason)
        self.error = error


async def _of_driver(call: Awaitable[T]) -> T:
    try:
        return await call
    except ArtlabError as error:
        raise _OfDriver(error) from error


class _Tries:
    def __init__(
        self,
        work: Work,
        step: StepDefinition,
        instance: Step,
        scope: StepScope,
        known: Mapping[str, Json],
        plain: StepResult,
    ) -> None:
        self._work = work
        self._step = step
        self._instance = instance
        self._scope = scope
        self._known = known
        self._plain = plain
        self._attempts: list[Attempt] = []
        self._restored = False

    async def end(self) -> StepResult:
        """Try until it ends."""
        step = self._step
        try:
            inputs = _fields(fill(step.inputs, self._known))
        except ArtlabError as error:
            return _badly(self._plain, error)
        for number in range(1, step.retry.attempts + 1):
            began = self._work.clock.monotonic()
            try:
                found = await self._try(inputs, replace(self._scope, attempt=number))
            except StepBlocked as blocked:
                if not self._restored:
                    self._took(number, began)
                return self._blocked(blocked)
            except _OfDriver as problem:
                raise problem.error from problem
            except ArtlabError as error:
                if self._work.is_fatal(error):
                    raise
                self._took(number, began, error.reason)
                if number == step.retry.attempts or not is_retryable(step.retry, error):
                    return self._fell_or_failed(error)
                await asyncio.sleep(self._pause(number, error))
                continue
            if isinstance(found, StepResult):
                return found
            if not self._restored:
                self._took(number, began)
            return self._ended(result=found, restored=self._restored)
        raise AssertionError("a step is tried at least once")

    async def _try(self, inputs: JsonObject, scope: StepScope) -> JsonObject | StepResult:
        step, work = self._step, self._work
        restore = getattr(self._instance, "restore", None)
        try:
            async with asyncio.timeout(step.timeout_seconds) as limit:
                if restore is not None:
                    found = await self._restore(restore, inputs, scope)
                    if found is not None:
                        return found
                if scope.attempt == 1:
                    begins = work.observer.step_begins
                    await _of_driver(begins(scope.step, scope.iteration, scope.output_index))
                output = await self._instance.run(inputs, scope)
        except (ArtlabError, StepBlocked, StepWaits, _OfDriver):
            raise
        except TimeoutError as error:
            if limit.expired():
                raise DeadlineExceeded(
                    "STEP_TIMEOUT", f"{step.id} took longer than {step.timeout_seconds:g} s"
                ) from error
            raise _crashed(step, error) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled us: something that the step waited for was cancelled.
            raise _crashed(step, error) from error
        except Exception as error:
            raise _crashed(step, error) from error
        return as_output(step.id, output)

    async def _restore(
        self, restore: Any, inputs: JsonObject, scope: StepScope
    ) -> JsonObject | StepResult | None:
        try:
            found = await restore(inputs, scope)
        except StepBlocked:
            self._restored = True
            raise
        if found is not None:
            self._restored = True
            return as_output(scope.step, found)
        kept = None
        if scope.attempt == 1:
            memory = self._work.memory
            kept = await _of_driver(memory.recall(scope.step, scope.iteration, scope.output_index))
        return None if kept is None else from_kept(self._plain, kept)

    def _took(self, number: int, began: float, error: str = "") -> None:
        took = timedelta(seconds=self._work.clock.monotonic() - began)
        self._attempts.append(Attempt(number, took, error))

    def _pause(self, number: int, error: ArtlabError) -> float:
        # Full jitter: many that failed together do not come back together.
        retry = self._step.retry
        most = min(retry.max_backoff_seconds, retry.backoff_seconds * 2 ** (number - 1))
        told = min(error.retry_after_seconds or 0.0, retry.max_backoff_seconds)
        return max(self._work.randomness.uniform(0.0, most), told)

    def _ended(self, **changes: Any) -> StepResult:
        return replace(self._plain, attempts=tuple(self._attempts), **changes)

    def _blocked(self, blocked: StepBlocked) -> StepResult:
        try:
            output = as_output(self._step.id, blocked.output)
        except ArtlabError as error:
            return _badly(self._ended(), error)
        return self._ended(
            status="blocked",
            result=output,
            error="SAFETY_BLOCKED",
            message=blocked.rule,
            stage=blocked.stage,
            cause=blocked,
            restored=self._restored,
        )

    def _fell_or_failed(self, error: ArtlabError) -> StepResult:
        facts_of = facts(step=self._step.id, reason=error.reason, attempts=len(self._attempts))
        log.info("step failed", extra=facts_of)
        if self._step.fallback is None:
            return _badly(self._ended(), error)
        try:
            output = as_output(self._step.id, fill(self._step.fallback, self._known))
        except ArtlabError as problem:
            return _badly(self._ended(), problem)
        return self._ended(result=output, fell_back=True)


def is_retryable(retry: Retry, error: ArtlabError) -> bool:
    """Whether trying again may help, as the file says or by the class of the error."""
    if retry.on:
        return error.reason in retry.on or error.code in retry.on
    return error.code in RETRYABLE


def as_output(step: str, output: object) -> JsonObject:
    """Return an output as it will be found in the record.

    Raises Internal STEP_OUTPUT_INVALID when it is no JSON object or too large.
    """
    if not isinstance(output, Mapping):
        raise Internal("STEP_OUTPUT_INVALID", f"{step} must return fields (a dict)")
    try:
        text = json.dumps(dict(output), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Internal("STEP_OUTPUT_INVALID", f"{step} returned what JSON cannot hold") from error
    if len(text) > MAX_OUTPUT_CHARACTERS:
        raise Internal(
            "STEP_OUTPUT_INVALID", f"{step} returned more than {MAX_OUTPUT_CHARACTERS} characters"
        )
    return _fields(json.loads(text))


def to_keep(result: StepResult) -> JsonObject:
    """Return what the memory keeps of a step."""
    return {
        "status": result.status,
        "output": result.result,
        "error": result.error,
        "message": result.message,
        "stage": result.stage,
        "fell_back": result.fell_back,
    }


def from_kept(plain: StepResult, kept: JsonObject) -> StepResult:
    """Return how a step ended from what the memory kept of it."""
    status, output, stage = kept.get("status"), kept.get("output"), kept.get("stage")
    if status not in ("succeeded", "blocked", "failed") or not isinstance(output, Mapping):
        raise Internal("STEP_MEMORY_INVALID", f"what is kept of {plain.step_name} cannot be read")
    return replace(
        plain,
        status=status,
        result=output,
        error=str(kept.get("error", "")),
        message=str(kept.get("message", "")),
        stage=stage if isinstance(stage, int) else 0,
        fell_back=kept.get("fell_back") is True,
        restored=True,
    )


def _badly(plain: StepResult, error: ArtlabError) -> StepResult:
    return replace(plain, status="failed", error=error.reason, message=error.message, cause=error)


def _fields(value: Json) -> JsonObject:
    assert isinstance(value, Mapping)
    return value


def _crashed(step: StepDefinition, error: BaseException) -> Internal:
    # Where, not what: the message of an unknown exception may hold what somebody typed.
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return Internal("STEP_CRASHED", f"{step.id} ended with {type(error).__name__}{where}")
