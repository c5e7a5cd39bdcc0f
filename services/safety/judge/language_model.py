"""A judge of texts that asks a language model at an OpenAI-compatible server.

The module imports the `openai` client, which is slow to load: it is imported where a server is
configured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from services.kit.errors import ArtlabError
from services.safety.domain.policy import LanguageModelPolicy
from services.safety.domain.verdict import ModelUsed
from services.safety.judge.answers import Answer
from services.safety.judge.complaints import OfTexts
from services.safety.judge.json_form import JsonForm
from services.safety.judge.llama_guard_form import LlamaGuardForm
from services.safety.judge.model_client import RETRIES, ModelClient, ModelServer
from services.safety.judge.text_pieces import pieces
from services.safety.judge.text_question import Form
from services.safety.ports import LANGUAGE_MODEL, Opinion, Question

# A model that is not loaded yet takes its time.
LOAD_SECONDS = 120.0
HARMLESS = "Ein Hund im Regen"

FORMS: Mapping[str, Callable[[LanguageModelPolicy, OfTexts], Form]] = {
    "json": lambda policy, complaints: JsonForm(policy.meanings, complaints),
    "llama_guard": LlamaGuardForm,
}


class LanguageModelJudge:
    """Judges by a language model, which gets the text and nothing else about it.

    Close it with `aclose`.
    """

    name = LANGUAGE_MODEL
    elsewhere = True

    def __init__(self, server: ModelServer, form: str, policy: LanguageModelPolicy) -> None:
        self.version = f"openai:{server.model}"
        self.remote = server.is_remote
        complaints = OfTexts()
        self._client = ModelClient(server, complaints)
        self._form = FORMS[form](policy, complaints)

    async def load(self) -> None:
        """Have a harmless text judged, so that the first person does not wait for the model.

        It is asked once. Raises as `judge` does.
        """
        await self._judge(HARMLESS, LOAD_SECONDS, retries=0)

    async def judge(self, question: Question) -> Opinion:
        """Return what the model finds in the text, or in any piece of a long one.

        Raises Unavailable SAFETY_UNAVAILABLE, DeadlineExceeded TEXT_JUDGE_TIMEOUT,
        ResourceExhausted SAFETY_BUSY or TEXT_JUDGE_RATE_LIMITED, FailedPrecondition
        TEXT_JUDGE_EMPTY, …_ONLY_THOUGHTS, …_REFUSED, …_CUT, …_PROTOCOL, …_CONTRADICTION,
        …_UNKNOWN_CATEGORY, …_LEAKED, …_STEERED, …_REJECTED, …_NOT_AUTHORIZED, …_MODEL_NOT_FOUND.
        """
        return await self._judge(question.text)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _judge(
        self, text: str, seconds: float | None = None, retries: int = RETRIES
    ) -> Opinion:
        async with self._client.in_time(seconds):
            try:
                async with asyncio.TaskGroup() as group:
                    asked = [group.create_task(self._ask(piece, retries)) for piece in pieces(text)]
            except* ArtlabError as errors:
                # The first one that failed; the others were cancelled, or said much the same.
                raise _first(errors) from None
        opinions = [task.result() for task in asked]
        hits = tuple(dict.fromkeys(hit for opinion in opinions for hit in opinion.hits))
        return Opinion(hits, opinions[-1].used)

    async def _ask(self, piece: str, retries: int) -> Opinion:
        question = self._form.question(piece)

        def read(answer: Answer) -> Opinion:
            return Opinion(question.read(answer.text), ModelUsed("openai", answer.model))

        async with self._client.turn():
            return await self._client.ask(question.asking, read, retries)


def _first(errors: BaseExceptionGroup[ArtlabError]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
