"""Reasoning, taken out of a text that arrives in pieces. Pure."""

from __future__ import annotations

import string

# Qwen, DeepSeek; Magistral; Open Thoughts; the channels of gpt-oss.
_OPEN = (
    "<think>",
    "<thinking>",
    "<reasoning>",
    "<thought>",
    "[think]",
    "<|begin_of_thought|>",
    "<|channel|>analysis",
    "<|channel|>commentary",
)
_CLOSE = (
    "</think>",
    "</thinking>",
    "</reasoning>",
    "</thought>",
    "[/think]",
    "<|end_of_thought|>",
    "<|channel|>final<|message|>",
)
# Of ASCII letters only: other ones may get longer by it, and places would be wrong.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_LONGEST = max(map(len, _OPEN + _CLOSE))


class ThoughtFilter:
    """Takes reasoning (``<think>…</think>`` and its kin) out.

    Text that could still become a tag is held back until the next piece, or `end`.
    """

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False
        # Whether any reasoning was taken out.
        self.found = False

    def feed(self, piece: str) -> str:
        """Return what of the text so far may be shown."""
        self._held += piece
        shown: list[str] = []
        while True:
            tags = _CLOSE if self._thinking else _OPEN
            lowered = self._held.translate(_LOWER)
            places = [(place, tag) for tag in tags if (place := lowered.find(tag)) >= 0]
            if not places:
                break
            place, tag = min(places)
            if not self._thinking:
                shown.append(self._held[:place])
            self._held = self._held[place + len(tag) :]
            self._thinking = not self._thinking
            self.found = True
        keep = _partial(self._held, tags)
        if not self._thinking:
            shown.append(self._held[: len(self._held) - keep])
        self._held = self._held[len(self._held) - keep :]
        return "".join(shown)

    def end(self) -> str:
        """Return what was held back; an unfinished thought is none of it."""
        rest = "" if self._thinking else self._held
        self._held = ""
        return rest


def after_thoughts(text: str) -> str:
    """What follows the last thought that was closed but never opened, as some models leave it."""
    lowered = text.translate(_LOWER)
    ends = [place + len(tag) for tag in _CLOSE if (place := lowered.rfind(tag)) >= 0]
    return text[max(ends) :] if ends else text


def _partial(held: str, tags: tuple[str, ...]) -> int:
    tail = held[-_LONGEST:].translate(_LOWER)
    for size in range(len(tail), 0, -1):
        if any(tag.startswith(tail[-size:]) for tag in tags):
            return size
    return 0
