"""One answer of a model as it grows: what of it is shown, and what is made of the whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from services.interception.domain.guard import Shown, checked
from services.interception.domain.messages import LANGUAGE_NAMES, Instructions
from services.interception.domain.writing import WritingTask
from services.interception.ports import LanguageDetector, Written
from services.interception.providers.chat import MAX_NAME_CHARACTERS, ChatPiece
from services.kit.errors import FailedPrecondition
from services.kit.log import facts
from services.kit.text import MAX_TEXT_CHARACTERS

log = logging.getLogger(__name__)

# A server that ignores how many tokens were asked for is cut here; words are shorter.
CHARACTERS_PER_TOKEN = 16
# So much of a translation is looked at before it is shown, so that one in the wrong language can
# be asked for again.
HELD_CHARACTERS = 100
# Fewer tell too little of their language.
TELLING_LETTERS = 24
MAX_WORD_CHARACTERS = 40


class WrongLanguage(Exception):  # an outcome, caught where it is asked again
    """The answer is clearly in another language, and nothing of it was shown."""


class Answer:
    """Takes the pieces of one answer.

    Args:
        task: what was asked for.
        instructions: what the model was told.
        languages: tells which language the answer is in.
        may_refuse: whether a translation into the wrong language raises WrongLanguage, so that it
            is asked for again; else it is taken, and said to be so.
    """

    def __init__(
        self,
        task: WritingTask,
        instructions: Instructions,
        languages: LanguageDetector,
        *,
        may_refuse: bool,
    ) -> None:
        self._task = task
        self._instructions = instructions
        self._languages = languages
        self._known_language = task.to_language in LANGUAGE_NAMES["en"]
        self._holds = may_refuse and task.translates and self._known_language
        self._most = min(MAX_TEXT_CHARACTERS, task.sampling.max_tokens * CHARACTERS_PER_TOKEN)
        self._shown = Shown()
        self._text: list[str] = []
        self._held = ""
        self._size = 0
        self._model = ""
        self._finish = ""
        # Whether anything was shown.
        self.begun = False

    @property
    def full(self) -> bool:
        """Whether there is more text than we take."""
        return self._size > self._most

    async def take(self, piece: ChatPiece) -> str:
        """Return what may be shown now. Raises FailedPrecondition LLM_REFUSED, WrongLanguage."""
        self._model = self._model or _word(piece.model, MAX_NAME_CHARACTERS)
        self._finish = _word(piece.finish, MAX_WORD_CHARACTERS) or self._finish
        if piece.declined:
            raise FailedPrecondition("LLM_REFUSED", "the model declined to write")
        self._size += len(piece.text)
        return await self._show(self._shown.feed(piece.text))

    async def rest(self) -> str:
        """The answer has ended: return what was held back. Raises WrongLanguage."""
        return await self._show(self._shown.end(), last=True)

    async def _show(self, ready: str, *, last: bool = False) -> str:
        self._text.append(ready)
        if self._holds:
            self._held += ready
            if len(self._held) < HELD_CHARACTERS and not last:
                return ""
            if await self._other_language(self._held):
                raise WrongLanguage
            self._holds = False
            ready, self._held = self._held, ""
        self.begun = self.begun or bool(ready)
        return ready

    async def written(
        self, *, backend: str, asked_model: str, sent: Mapping[str, str], attempt: int
    ) -> Written:
        """The whole answer, checked; it came at this attempt, from 1.

        Raises FailedPrecondition LLM_EMPTY_OUTPUT, LLM_REFUSED, LLM_PROMPT_LEAK.
        """
        text = "".join(self._text)[: self._most]
        found = checked(text, self._instructions.own, self._task.text)
        if self._model and self._model != asked_model:
            log.warning(
                "another model answered", extra=facts(asked=asked_model, answered=self._model)
            )
        removed = self._shown.removed + found.removed
        other = await self._other_language(found.text)
        parameters = {
            "technique": "model",
            "asked_model": asked_model,
            **sent,
            "finish": "cut_at_limit" if self.full else self._finish,
            "asked_language": self._task.to_language,
            "attempt": str(attempt),
            **({"removed": ",".join(dict.fromkeys(removed))} if removed else {}),
            **({"language_mismatch": other} if other else {}),
        }
        return Written(
            text=found.text,
            backend=backend,
            model=self._model,
            translated=not other if self._task.translates else None,
            parameters=parameters,
        )

    async def _other_language(self, text: str) -> str:
        """The language of the text where it is clearly another than asked for, else ""."""
        letters = sum(map(str.isalpha, text))
        if not self._known_language or letters < TELLING_LETTERS:
            return ""
        found = await self._languages.detect(text, self._task.to_language)
        return "" if found in (self._task.to_language, "und") else found


def _word(value: str, most: int) -> str:
    return "".join(character for character in value if character.isprintable())[:most]
