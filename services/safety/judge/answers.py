"""What a chat model sent, as far as it is an answer at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from services.safety.judge.complaints import Complaints

MAX_ANSWER_CHARACTERS = 20_000
MAX_MODEL_NAME_CHARACTERS = 200
_THOUGHT = re.compile(r"\A\s*<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL)
_REFUSAL = re.compile(
    r"\b(sorry|cannot|can['’]t|unable|won['’]t|leid|kann ich nicht|darf ich nicht)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The words of an answer, without thoughts and never empty, and which model says it said them.

    `model` is empty where the server does not say.
    """

    text: str
    model: str


def read_completion(completion: Any, complaints: Complaints) -> Answer:
    """Return the answer in a chat completion.

    Raises what the complaints make of one that is empty, cut, too long or no text, of thoughts
    without an answer, and of a refusal that the server names as one.
    """
    if not completion.choices:
        raise complaints.odd("gave no choices")
    choice = completion.choices[0]
    message = choice.message
    if choice.finish_reason == "content_filter" or message.refusal:
        raise complaints.refused()
    if choice.finish_reason == "length":
        raise complaints.cut()
    content = message.content
    if content is not None and not isinstance(content, str):
        raise complaints.odd("answered what is no text")
    # Servers of thinking models have no common name for it.
    thought = any(getattr(message, name, None) for name in ("reasoning_content", "reasoning"))
    told = content or ""
    text = _THOUGHT.sub("", told).strip()
    if not text:
        raise complaints.only_thoughts() if thought or told.strip() else complaints.empty()
    if len(text) > MAX_ANSWER_CHARACTERS:
        raise complaints.odd("gave an answer that is too long")
    return Answer(text, _printable(completion.model))


def is_refusal(text: str) -> bool:
    """Whether words that are not of the form declare that the model will not judge."""
    return "{" not in text and _REFUSAL.search(text) is not None


def _printable(name: object) -> str:
    if not isinstance(name, str):
        return ""
    return "".join(c for c in name if c.isprintable())[:MAX_MODEL_NAME_CHARACTERS]
