"""What models put around a text that was asked for alone. Pure.

"Sure! Here is the rewritten prompt:", a fence, quotation marks, "Let me know if …": taken off,
because a renderer would paint it.
"""

from __future__ import annotations

import re

MAX_OPENING_CHARACTERS = 200
MAX_NOTES = 3

_POLITE = (
    r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|great|gerne|klar|natürlich|sicher|"
    r"selbstverständlich)"
)
# Only what speaks of the text as a text: "Here is a dog: it barks" is no opening.
_MATTER = (
    r"(?:prompts?|texts?|version|translation|rewrit\w*|rewording|transform\w*|results?|outputs?|"
    r"description|interpretation|answer|response|übersetz\w*|umformung|umgeformt\w*|fassung|"
    r"variante|ergebnis|beschreibung|antwort|interpretation)"
)
_OPENINGS = re.compile(
    rf"\A\s*(?:{_POLITE}\b[^\n:]{{0,60}}?[,!.:]\s*)?"
    rf"(?:here(?:['’]s| is| are)|this is|below is|hier (?:ist|sind|kommt|hast du))\b"
    rf"[^\n:]{{0,80}}\b{_MATTER}\b[^\n:]{{0,80}}:[ \t*]*\n*"
    rf"|\A\s*{_POLITE}[ \t]*[!.,][ \t]*\n+"
    r"|\A\s*[*_#]{0,4}\s*(?:rewritten (?:prompt|text)|transformed (?:prompt|text)|translation|"
    r"translated text|output|final answer|answer|response|übersetzung|umgeformter text|ausgabe|"
    r"antwort)\b(?:[ \t]*\([^)\n]{1,30}\))?[*_]{0,2}[ \t]*:[*_]{0,2}\s*",
    re.IGNORECASE,
)
_MAYBE = (
    "sure", "certainly", "of course", "absolutely", "okay", "ok", "great", "gerne", "klar",
    "natürlich", "sicher", "selbstverständlich", "here", "this is", "below is", "hier", "rewritten",
    "transformed", "translation", "translated", "output", "final answer", "answer", "response",
    "übersetzung", "umgeformter", "ausgabe", "antwort", "```", "**", "#", "assistant", "user",
    "system",
)  # fmt: skip
_NOTE = re.compile(
    r"\A[\s(*_\[]*(?:(?:please )?let me know\b|feel free to\b|i hope (?:this|that|it)\b|"
    r"hope (?:this|that) helps|(?:would you like|if you(?:['’]d| would)? like|do you want)\b.{0,80}"
    r"\b(?:version|prompt|change|adjust|variation|another|revise)|"
    r"(?:note|explanation|translator['’]s note)\s*:|"
    r"this (?:version|rewrite|rewritten prompt|translation|prompt) "
    r"(?:uses|keeps|captures|maintains|aims|preserves)\b|"
    r"sag(?:t|en sie)? (?:mir |uns )?(?:gerne )?bescheid\b|lass(?:t)? (?:es )?mich wissen\b|"
    r"ich hoffe,? (?:das|dies|es)\b|(?:möchtest du|wenn du möchtest|soll ich)\b.{0,80}"
    r"\b(?:variante|fassung|version|prompt|änder\w*|anpass\w*|umschreib\w*)|"
    r"(?:hinweis|anmerkung|erklärung)\s*:)",
    re.IGNORECASE | re.DOTALL,
)
_FENCE = re.compile(r"\A\s*(`{3,}|~{3,})[^\n`]{0,30}\n(.*?)(?:\n?\1\s*)?\Z", re.DOTALL)
_QUOTES = {'"': '"', "„": "“”", "“": "”", "«": "»", "»": "«", "”": "”"}


def without_opening(text: str) -> str:
    """The text without words that announce it, at most two such."""
    for _ in range(2):
        shorter = _OPENINGS.sub("", text, count=1)
        if shorter == text:
            break
        text = shorter
    return text


def may_be_opening(head: str) -> bool:
    """Whether the beginning of an answer may still turn out to be such words, or a fence."""
    start = head.lstrip().lower()
    if len(head) >= MAX_OPENING_CHARACTERS or "\n" in start:
        return False
    return any(start.startswith(word) or word.startswith(start) for word in _MAYBE)


def without_fence(text: str) -> str:
    """The text without a fence around the whole of it."""
    found = _FENCE.match(text)
    return found[2] if found and "```" not in found[2] else text


def without_notes(text: str) -> str:
    """The text without remarks behind it, in lines of their own."""
    for _ in range(MAX_NOTES):
        before, line_break, last = text.rstrip().rpartition("\n")
        if not line_break or not before.strip() or not _NOTE.match(last):
            break
        text = before.rstrip()
    return text


def without_quotes(text: str, material: str) -> str:
    """The text without quotation marks around the whole of it, unless the material has them too."""
    closing = _QUOTES.get(text[:1], "")
    inner = text[1:-1]
    if len(text) < 3 or not closing or text[-1] not in closing or material.lstrip()[:1] in _QUOTES:
        return text
    return text if any(mark in inner for mark in f"{text[0]}{closing}") else inner.strip()
