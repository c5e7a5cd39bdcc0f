"""What a model's text must be before anyone uses it. Pure.

The model's words are material from outside: reasoning, control characters, the marks of chat
templates, calls of tools and words around the text are taken off, the length is capped, and an
empty answer, a refusal and leaked instructions are outcomes of their own. The original text never
takes the answer's place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.interception.domain.markup import (
    held_of_special,
    without_calls,
    without_control,
    without_directives,
    without_roles,
    without_special,
)
from services.interception.domain.refusals import is_refusal
from services.interception.domain.thoughts import ThoughtFilter, after_thoughts
from services.interception.domain.wrapping import (
    may_be_opening,
    without_fence,
    without_notes,
    without_opening,
    without_quotes,
)
from services.kit.errors import FailedPrecondition
from services.kit.text import MAX_TEXT_BYTES, MAX_TEXT_CHARACTERS

# 16 words of an instruction in a row are no coincidence.
LEAK_WINDOW_WORDS = 16
SHORTEST_LEAK_WORDS = 6
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Checked:
    """A text that may go on, and the kinds of things that were taken off it, in order."""

    text: str
    removed: tuple[str, ...] = ()


class Shown:
    """What of an answer may be shown while it grows.

    Held back is what may still turn out to be no text: the beginning of a thought, of a token, of
    words before the text. What was shown is no promise: the whole answer is checked at its end.
    """

    def __init__(self) -> None:
        self._thoughts = ThoughtFilter()
        self._held = ""
        self._opening = True
        self._removed: dict[str, None] = {}

    @property
    def removed(self) -> tuple[str, ...]:
        """The kinds of things that were taken off, each once."""
        return (("reasoning",) if self._thoughts.found else ()) + tuple(self._removed)

    def feed(self, piece: str) -> str:
        """Return what of the text so far may be shown."""
        self._held += self._thoughts.feed(piece)
        size = len(self._held) - held_of_special(self._held)
        ready = self._cleaned(self._held[:size])
        if self._opening and may_be_opening(ready):
            return ""
        self._held = self._held[size:]
        return self._begun(ready)

    def end(self) -> str:
        """Return what was held back."""
        ready = self._cleaned(self._held + self._thoughts.end())
        self._held = ""
        return self._begun(ready)

    def _cleaned(self, text: str) -> str:
        visible = without_control(text)
        cleaned = without_special(visible)
        if len(visible) < len(text):
            self._removed["control"] = None
        if len(cleaned) < len(visible):
            self._removed["special_token"] = None
        return cleaned

    def _begun(self, ready: str) -> str:
        if not self._opening:
            return ready
        text = without_opening(ready)
        if text != ready:
            self._removed["opening"] = None
        # There may be another one behind it.
        self._opening = not text.strip()
        return text.lstrip()


def capped(text: str) -> str:
    """The text, cut at the limits of the protos; at a white space where one is near."""
    limit = MAX_TEXT_CHARACTERS
    encoded = text.encode()
    if len(text) <= limit and len(encoded) <= MAX_TEXT_BYTES:
        return text
    cut = encoded[:MAX_TEXT_BYTES].decode("utf-8", "ignore")[:limit]
    space = max(cut.rfind(" "), cut.rfind("\n"))
    return (cut[:space] if space > len(cut) - 200 else cut).rstrip() or cut


def checked(text: str, instructions: str, material: str = "") -> Checked:
    """The model's whole answer, without its reasoning, as a text that may go on.

    `instructions` are those it must not repeat, unless they stand in the `material` it was given.

    Raises FailedPrecondition LLM_EMPTY_OUTPUT, LLM_REFUSED, LLM_PROMPT_LEAK.
    """
    removed: list[str] = []

    def take(kind: str, shorter: str) -> None:
        nonlocal text
        if shorter.strip() != text.strip():
            removed.append(kind)
        text = shorter.strip()

    take("control", without_control(text))
    # A model that forgets to open its thought still closes it.
    take("reasoning", after_thoughts(text))
    take("tool_call", without_calls(text))
    take("special_token", without_special(text))
    take("role", without_roles(text))
    take("opening", without_opening(text))
    take("fence", without_fence(text))
    take("note", without_notes(text))
    take("quotes", without_quotes(text, material))
    take("directive", without_directives(text, material))
    text = capped(text)
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise FailedPrecondition("LLM_EMPTY_OUTPUT", "the model answered without any text")
    # What the person wrote may come back: a refusal can be translated too.
    if is_refusal(text) and not is_refusal(material):
        raise FailedPrecondition("LLM_REFUSED", "the model declined to write")
    if leaks(text, instructions, material):
        raise FailedPrecondition("LLM_PROMPT_LEAK", "the model answered with its instructions")
    return Checked(text, tuple(removed))


def leaks(text: str, instructions: str, material: str = "") -> bool:
    """Whether the text repeats the instructions: all of them, or 16 words of them in a row."""
    size = min(LEAK_WINDOW_WORDS, len(_words(instructions)))
    if size < SHORTEST_LEAK_WORDS:
        return False
    ours = _windows(instructions, size) - _windows(material, size)
    return not ours.isdisjoint(_windows(text, size))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _windows(text: str, size: int) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}
