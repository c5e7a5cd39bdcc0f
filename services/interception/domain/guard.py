"""What a model's text must be before anyone uses it. Pure.

The model's words are material from outside: reasoning is taken out, control characters and
special tokens are dropped, the length is capped, and an empty answer, a refusal and a leaked
instruction are outcomes of their own. The original text never takes the answer's place.
"""

from __future__ import annotations

import re

from services.kit.errors import FailedPrecondition
from services.kit.text import MAX_TEXT_BYTES, MAX_TEXT_CHARACTERS

# 16 words of an instruction in a row are no coincidence.
LEAK_WINDOW_WORDS = 16
SHORTEST_LEAK_WORDS = 6
# A refusal is short; a story in which somebody says "I can't help" is not one.
REFUSAL_WITHIN_CHARACTERS = 600

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ud800-\udfff]")
# <|im_end|>, <|eot_id|>, [INST], <s>: the delimiters of chat templates.
_SPECIAL = re.compile(r"<\|[a-z0-9_]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_REFUSALS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\A\W*(?:i['’]?m|i am) (?:very |really )?(?:sorry|afraid)\b.{0,160}"
        r"\b(?:can['’]?t|cannot|can not|won['’]?t|unable|not able)\b",
        r"\A\W*(?:sorry|apologies|unfortunately)\b.{0,80}"
        r"\bi (?:can['’]?t|cannot|can not|won['’]?t|am unable|am not able)\b",
        r"\A\W*i (?:can['’]?t|cannot|can not|won['’]?t|will not|am unable to|am not able to|must "
        r"decline to)\s+(?:help|assist|fulfil|fulfill|comply|provide|create|generate|write|"
        r"translate|support|do that|continue|engage)\b",
        r"\A\W*as an? (?:ai|artificial intelligence|(?:large )?language model)\b",
        r"\A\W*(?:es tut mir (?:sehr )?leid|tut mir (?:sehr )?leid|entschuldigung|leider)\b"
        r".{0,160}\b(?:nicht|kein\w*)\b.{0,80}",
        r"\A\W*(?:ich kann|das kann ich|dabei kann ich|ich darf|ich werde)\b.{0,80}\bnicht\b.{0,60}"
        r"\b(?:helfen|unterstützen|erfüllen|erstellen|schreiben|übersetzen|nachkommen)\b",
        r"\A\W*als (?:ki|künstliche intelligenz|(?:ki-)?sprachmodell)\b",
    )
)
# "Leider" and "es tut mir leid" also begin stories; then the speaker must speak of helping.
_GERMAN_HELP = re.compile(
    r"\b(?:ich|dir|ihnen|anfrage|bitte|wunsch)\b.{0,120}"
    r"\b(?:helfen|unterstützen|erfüllen|erstellen|schreiben|generieren|nachkommen|weiterhelfen|"
    r"beantworten|dienen|übersetzen)\b",
    re.IGNORECASE | re.DOTALL,
)


class ThoughtFilter:
    """Takes reasoning (``<think>…</think>``) out of a text that arrives in pieces.

    Text that could still become a tag is held back until the next piece, or `end`.
    """

    _OPEN = ("<think>", "<thinking>", "<reasoning>")
    _CLOSE = ("</think>", "</thinking>", "</reasoning>")
    _LONGEST = 12

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False

    def feed(self, piece: str) -> str:
        """Return what of the text so far may be shown."""
        self._held += piece
        shown: list[str] = []
        while True:
            tags = self._CLOSE if self._thinking else self._OPEN
            lowered = self._held.lower()
            places = [(place, tag) for tag in tags if (place := lowered.find(tag)) >= 0]
            if not places:
                break
            place, tag = min(places)
            if not self._thinking:
                shown.append(self._held[:place])
            self._held = self._held[place + len(tag) :]
            self._thinking = not self._thinking
        keep = self._partial(tags)
        if not self._thinking:
            shown.append(self._held[: len(self._held) - keep])
        self._held = self._held[len(self._held) - keep :]
        return "".join(shown)

    def end(self) -> str:
        """Return what was held back; an unfinished thought is none of it."""
        rest = "" if self._thinking else self._held
        self._held = ""
        return rest

    def _partial(self, tags: tuple[str, ...]) -> int:
        tail = self._held[-self._LONGEST :].lower()
        for size in range(min(len(tail), self._LONGEST), 0, -1):
            if any(tag.startswith(tail[-size:]) for tag in tags):
                return size
        return 0


def without_control(text: str) -> str:
    """The text without control characters, byte order marks and halves of surrogate pairs."""
    return _CONTROL.sub("", text)


def capped(text: str) -> str:
    """The text, cut at the limits of the protos; at a white space where one is near."""
    limit = MAX_TEXT_CHARACTERS
    encoded = text.encode()
    if len(text) <= limit and len(encoded) <= MAX_TEXT_BYTES:
        return text
    cut = encoded[:MAX_TEXT_BYTES].decode("utf-8", "ignore")[:limit]
    space = max(cut.rfind(" "), cut.rfind("\n"))
    return (cut[:space] if space > len(cut) - 200 else cut).rstrip() or cut


def checked(text: str, instructions: str, material: str = "") -> str:
    """The model's whole answer as a text that may go on.

    `instructions` are those it must not repeat, unless they stand in the `material` it was given.

    Raises FailedPrecondition LLM_EMPTY_OUTPUT, LLM_REFUSED, LLM_PROMPT_LEAK.
    """
    # A model that forgets to open its thought still closes it.
    for tag in ("</think>", "</thinking>", "</reasoning>"):
        place = text.lower().rfind(tag)
        if place >= 0:
            text = text[place + len(tag) :]
    text = capped(_SPECIAL.sub("", without_control(text)).strip())
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise FailedPrecondition("LLM_EMPTY_OUTPUT", "the model answered without any text")
    if is_refusal(text):
        raise FailedPrecondition("LLM_REFUSED", "the model declined to write")
    if leaks(text, instructions, material):
        raise FailedPrecondition("LLM_PROMPT_LEAK", "the model answered with its instructions")
    return text


def is_refusal(text: str) -> bool:
    """Whether a short answer only says that the model will not answer."""
    if len(text) > REFUSAL_WITHIN_CHARACTERS:
        return False
    line = " ".join(text.split())
    for pattern in _REFUSALS:
        if pattern.search(line):
            german = pattern.pattern.startswith(r"\A\W*(?:es tut")
            return bool(_GERMAN_HELP.search(line)) if german else True
    return False


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
