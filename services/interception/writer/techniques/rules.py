"""The person's own rules, as far as a machine without a model can follow them.

Recognised instructions, in German and English, are carried out in the order they are written:
see `INSTRUCTIONS`. When none is recognised, nothing is pretended: the text stays, and the rules'
own key words are set beside it as a frame.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from services.interception.writer.lexicon import Vocabulary
from services.interception.writer.material import Material
from services.interception.writer.phrases import read
from services.interception.writer.techniques.antonyms import antonyms
from services.interception.writer.techniques.pig_latin import pig_latin
from services.interception.writer.tokens import capitalised, sentences, tokenize, words

MAX_KEY_WORDS = 6
MAX_RULES = 20


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name, how people write it, and what it does."""

    name: str
    pattern: re.Pattern[str]
    apply: Callable[[Material, re.Match[str]], str]


def follow_rules(material: Material) -> tuple[str, tuple[str, ...]]:
    """The text after the rules, and the names of those that were recognised, in order."""
    found: list[tuple[int, Instruction, re.Match[str]]] = []
    for instruction in INSTRUCTIONS:
        said: set[tuple[str, ...]] = set()
        for match in instruction.pattern.finditer(material.rules):
            # Said twice is meant once; only rules that name something differ from one another.
            if match.groups() not in said:
                said.add(match.groups())
                found.append((match.start(), instruction, match))
    found.sort(key=lambda entry: entry[0])
    del found[MAX_RULES:]
    text = material.text
    applied: list[str] = []
    for _, instruction, match in found:
        changed = instruction.apply(replace(material, text=text), match)
        # A rule that leaves nothing (no nouns in the text) would end the work; it is skipped.
        if changed.strip():
            text = changed
            applied.append(instruction.name)
    if not applied:
        return _framed(material), ()
    return text, tuple(applied)


def _framed(material: Material) -> str:
    keys: dict[str, str] = {}
    for word in words(material.rules):
        lower = word.lower()
        if len(word) > 2 and not _is_closed(lower, material):
            keys.setdefault(lower, word)
    if not keys:
        return material.text
    listed = ", ".join(each[:60] for each in list(keys.values())[:MAX_KEY_WORDS])
    text = material.text.rstrip()
    ending = "" if text.endswith((".", "!", "?", "…")) else "."
    heading = "Die Regel dazu" if material.voice == "de" else "The rule that goes with it"
    return f"{text}{ending}\n{heading}: {listed}."


def _is_closed(lower: str, material: Material) -> bool:
    lexicon = material.lexicon
    return any(
        lower in each.function_words or lower in _RULE_WORDS for each in (lexicon.de, lexicon.en)
    )


_RULE_WORDS = frozenset(
    "mach mache macht machen schreib schreibe schreiben bitte text satz regel regeln alles soll "
    "sollen muss müssen make write please text rule rules everything should must let use".split()
)


def _only_nouns(material: Material, _: re.Match[str]) -> str:
    reading = read(material.text, material.vocabulary)
    return " ".join(each.name for each in reading.phrases)


def _one_sentence(material: Material, _: re.Match[str]) -> str:
    parts = [each.rstrip(".!?… ") for each in sentences(material.text)]
    return "; ".join(part for part in parts if part) + "."


def _backwards(material: Material, _: re.Match[str]) -> str:
    """Words in reverse order, line by line."""
    return "\n".join(" ".join(reversed(line.split())) for line in material.text.splitlines())


def _letters_backwards(material: Material, _: re.Match[str]) -> str:
    return material.text[::-1]


def _without_colours(material: Material, _: re.Match[str]) -> str:
    vocabulary = material.vocabulary
    return _without(material, lambda lower: _is_colour(lower, vocabulary))


def _is_colour(lower: str, vocabulary: Vocabulary) -> bool:
    colours = vocabulary.reduction["colours"]
    if lower in colours:
        return True
    return vocabulary.language == "de" and any(
        lower.startswith(colour) and lower[len(colour) :] in ("e", "er", "es", "en", "em")
        for colour in colours
    )


def _without_adjectives(material: Material, _: re.Match[str]) -> str:
    reading = read(material.text, material.vocabulary)
    drop = {at for phrase in reading.phrases for at in phrase.adjectives_at}
    return _joined([t.text for i, t in enumerate(reading.tokens) if i not in drop])


def _without_letter(material: Material, match: re.Match[str]) -> str:
    letter = match.group("letter").lower()
    return _without(material, lambda lower: letter in lower)


def _without(material: Material, unwanted: Callable[[str], bool]) -> str:
    tokens = tokenize(material.text)
    return _joined([t.text for t in tokens if not (t.is_word and unwanted(t.text.lower()))])


def _joined(parts: Sequence[str]) -> str:
    text = re.sub(r"[ \t]{2,}", " ", "".join(parts))
    return re.sub(r"(?<!\s)\s+([,.;:!?])", r"\1", text).strip()


def _every_word_twice(material: Material, _: re.Match[str]) -> str:
    return "".join(f"{t.text} {t.text}" if t.is_word else t.text for t in tokenize(material.text))


def _shuffled(material: Material, _: re.Match[str]) -> str:
    parts = material.text.split()
    drawn = material.draw.shuffled(parts)
    return " ".join(drawn if drawn != parts else [*parts[1:], *parts[:1]])


def _alphabetical(material: Material, _: re.Match[str]) -> str:
    return " ".join(sorted(words(material.text), key=str.casefold))


def _first_words(material: Material, match: re.Match[str]) -> str:
    count = max(1, min(int(match.group("count")), 1000))
    return " ".join(material.text.split()[:count])


def _question(material: Material, _: re.Match[str]) -> str:
    text = material.text.rstrip(" .!…")
    return text if text.endswith("?") else f"{text}?"


def _replaced(material: Material, match: re.Match[str]) -> str:
    old, new = match.group("old").casefold(), match.group("new")
    return "".join(
        new if t.is_word and t.text.casefold() == old else t.text for t in tokenize(material.text)
    )


def _lines(material: Material, _: re.Match[str]) -> str:
    return "\n".join(material.text.split())


INSTRUCTIONS: tuple[Instruction, ...] = tuple(
    Instruction(name, re.compile(pattern, re.IGNORECASE), apply)
    for name, pattern, apply in (
        (
            "replace",
            r"\b(?:ersetze|tausche|replace|swap)\s+(?:jedes\s+|alle\s+|every\s+|all\s+)?"
            r"[\"„“»']?(?P<old>\w{1,40})[\"“”«']?\s+(?:durch|gegen|mit|with|by|for)\s+"
            r"[\"„“»']?(?P<new>\w{1,40})",
            _replaced,
        ),
        (
            "only_nouns",
            r"\b(?:nur|bloß|ausschließlich|only|just)\s+(?:die\s+|the\s+)?"
            r"(?:substantive|nomen|hauptwörter|nouns)\b",
            _only_nouns,
        ),
        (
            "one_sentence",
            r"\b(?:in\s+)?(?:einem|einen|one|a single)\s+(?:satz|sentence)\b",
            _one_sentence,
        ),
        (
            "letters_backwards",
            r"\b(?:buchstaben|letters?)\s+(?:\w+\s+){0,2}(?:rückwärts|backwards?)\b",
            _letters_backwards,
        ),
        (
            "backwards",
            r"(?<!buchstaben )(?<!letters )\b(?:rückwärts|backwards?|reversed?|von hinten)\b",
            _backwards,
        ),
        (
            "without_colours",
            r"\b(?:ohne|keine|without|no)\s+(?:farben|farbwörter|farbe|colou?rs?)\b",
            _without_colours,
        ),
        (
            "without_adjectives",
            r"\b(?:ohne|keine|without|no)\s+(?:adjektive|eigenschaftswörter|adjectives)\b",
            _without_adjectives,
        ),
        (
            "without_letter",
            r"\b(?:ohne|kein|without|no)\s+(?:den\s+|the\s+)?(?:buchstaben?|letter)\s+"
            r"[\"„“»']?(?P<letter>[^\W\d_])\b",
            _without_letter,
        ),
        (
            "every_word_twice",
            r"\b(?:jedes wort|every word|each word)\s+(?:\w+\s+)?"
            r"(?:doppelt|zweimal|twice|double)\b",
            _every_word_twice,
        ),
        ("shuffle", r"\b(?:misch\w*|durcheinander|schüttl?e\w*|shuffled?|scrambled?)\b", _shuffled),
        ("alphabetical", r"\b(?:alphabetisch\w*|alphabetical(?:ly)?)\b", _alphabetical),
        (
            "first_words",
            r"\b(?:nur|höchstens|maximal|only|at most|max)\s+(?:die\s+ersten\s+|the\s+first\s+)?"
            r"(?P<count>[0-9]{1,4})\s+(?:wörter|worte|words)\b",
            _first_words,
        ),
        ("question", r"\b(?:als frage|as a question)\b", _question),
        ("opposite", r"\b(?:gegenteil|opposite)\b", lambda material, _: antonyms(material)),
        ("pig_latin", r"\bpig ?latin\b", lambda material, _: pig_latin(material)),
        (
            "one_word_per_line",
            r"\b(?:jedes wort|ein wort|each word|one word)\s+(?:in|auf|pro|on|per)\s+"
            r"(?:\w+\s+)?(?:zeile|line)\b",
            _lines,
        ),
        (
            "upper_case",
            r"\b(?:großbuchstaben|alles groß|upper ?case|capital letters|all caps)\b",
            lambda material, _: material.text.upper(),
        ),
        (
            "lower_case",
            r"\b(?:kleinbuchstaben|alles klein|lower ?case|small letters)\b",
            lambda material, _: material.text.lower(),
        ),
        ("capitalise", r"\b(?:title case)\b", lambda material, _: capitalised(material.text)),
    )
)
