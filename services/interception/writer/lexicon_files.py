"""Reads `lexicon/*.yaml`, and checks it.

The files hold one entry a line, so that anybody can add to them; a line that does not fit is a
defect with its file and place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from services.interception.writer.depiction import parse_depiction
from services.interception.writer.lexicon import Lexicon, Noun, NounForm, Vocabulary
from services.interception.writer.sounds import sounds
from services.kit.catalogue import CatalogueError, Defect, load_document

FOLDER = Path(__file__).parent / "lexicon"
LANGUAGES = ("de", "en")
GENDERS = frozenset("mfnp")


@cache
def load_lexicon(folder: Path = FOLDER) -> Lexicon:
    """Read all files. Raises CatalogueError with every defect. The result is immutable."""
    defects: list[Defect] = []
    documents = {
        name: _document(folder / f"{name}.yaml", defects)
        for name in (
            "nouns", "grammar", "antonyms", "intensifiers", "slang", "dada", "reduction",
            "perspective", "mishear", "cliches", "threats", "shapes",
        )
    }  # fmt: skip
    found = {language: _Reader(language, documents, defects).vocabulary() for language in LANGUAGES}
    for path in sorted((folder / "depictions").glob("*.yaml")):
        document = _document(path, defects)
        for language in LANGUAGES:
            _add_depiction(found, path, language, document, defects)
    if defects:
        raise CatalogueError(defects)
    return Lexicon(**found)


def _add_depiction(
    found: dict[str, Vocabulary],
    path: Path,
    language: str,
    document: Any,
    defects: list[Defect],
) -> None:
    words = found[language]
    categories = frozenset(form.noun.category for form in words.nouns.values())
    try:
        if not isinstance(document, dict) or not isinstance(document.get(language), dict):
            raise ValueError("missing")
        depiction = parse_depiction(document[language], categories)
    except ValueError as error:
        defects.append(Defect(f"depictions/{path.name}", language, str(error)))
        return
    found[language] = replace(words, depictions={**words.depictions, path.stem: depiction})


def _document(path: Path, defects: list[Defect]) -> Any:
    try:
        return load_document(path)
    except ValueError as error:
        defects.append(Defect(path.name, "", str(error)))
        return {}


class _Reader:
    """Reads the parts of one language; collects defects instead of raising."""

    def __init__(self, language: str, documents: Mapping[str, Any], defects: list[Defect]) -> None:
        self._language = language
        self._documents = documents
        self._defects = defects

    def vocabulary(self) -> Vocabulary:
        nouns = self._nouns()
        grammar: dict[str, Any] = {
            part: self._words("grammar", part)
            for part in (
                "determiners", "prepositions", "contractions", "pronouns", "conjunctions",
                "adverbs", "verbs",
            )
        }  # fmt: skip
        closed = frozenset().union(*(words for part, words in grammar.items() if part != "verbs"))
        return Vocabulary(
            language=self._language,
            nouns=nouns,
            **grammar,
            function_words=closed,
            opposites={
                part: self._pairs("antonyms", part)
                for part in ("nouns", "adjectives", "living", "verbs", "words")
            },
            intensifiers=self._groups(
                "intensifiers", ("adverbs", "prefixes", "appositions", "places", "finales")
            ),
            strong_verbs=self._pairs("intensifiers", "verbs"),
            slang=self._groups("slang", ("openers", "closers", "particles", "frames")),
            slang_nouns=self._other_nouns("slang"),
            slang_adjectives=self._pairs("slang", "adjectives"),
            slang_verbs=self._pairs("slang", "verbs"),
            slang_comments=self._by_category("slang", "comments"),
            found=self._found(),
            dada=self._groups(
                "dada",
                (
                    "sounds", "scraps", "papers", "scenes_two", "scenes_one", "scenes_none",
                    "sentences",
                ),
            ),
            forms=self._forms(),
            reduction={
                "relations": self._columns("reduction", "relations"),
                "modifiers": self._columns("reduction", "modifiers"),
                "colours": {
                    key: value
                    for key, value in (
                        self._split("reduction", "colours", line, None, 2)
                        for line in self._lines("reduction", "colours")
                    )
                },
            },
            reduction_lines=self._groups("reduction", ("palettes", "gridlines", "endings")),
            reduction_words={
                part: self._text("reduction", part)
                for part in ("omitted", "colour_line", "arrangement", "alone", "counts", "each")
            },
            studies=self._by_category("perspective", "studies"),
            spaces=self._by_category("perspective", "spaces"),
            perspective=self._groups(
                "perspective", ("orders", "spaces_alone", "distances", "humans", "techniques")
            ),
            motif=self._text("perspective", "motif"),
            cliches=self._words("cliches", "words"),
            cliche_things=self._words("cliches", "things"),
            threats_nouns=self._other_nouns("threats"),
            threats_adjectives=self._pairs("threats", "adjectives"),
            threats_verbs=self._pairs("threats", "verbs"),
            threats_innocent=self._words("threats", "innocent"),
            shapes=self._by_category("shapes", "shapes"),
            shapes_everywhere=self._words("shapes", "fills"),
            sketch=self._groups("shapes", ("colours", "grounds", "motions")),
            sketch_words={
                part: self._text("shapes", part)
                for part in (
                    "behind", "beside", "front", "canvas", "ground", "everywhere", "rule",
                )
            },
            misheard=self._pairs("mishear", "words"),
            sounding=tuple(
                (sounds(form.noun.singular), form.noun)
                for name, form in nouns.items()
                if form.noun.singular.lower() == name
            ),
        )  # fmt: skip

    def _part(self, name: str, part: str) -> Any:
        try:
            return self._documents[name][self._language][part]
        except (KeyError, TypeError):
            self._defect(name, part, "missing")
            return ""

    def _text(self, name: str, part: str) -> str:
        value = self._part(name, part)
        if not isinstance(value, str) or not value.strip():
            self._defect(name, part, "expected text")
            return "?"
        return value.strip()

    def _lines(self, name: str, part: str) -> list[str]:
        return [line.strip() for line in self._text(name, part).splitlines() if line.strip()]

    def _words(self, name: str, part: str) -> frozenset[str]:
        return frozenset(" ".join(self._lines(name, part)).split())

    def _groups(self, name: str, parts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        return {part: tuple(self._lines(name, part)) for part in parts}

    def _split(
        self, name: str, part: str, line: str, separator: str | None, count: int
    ) -> tuple[str, ...]:
        cells = tuple(cell.strip() for cell in line.split(separator, count - 1))
        if len(cells) != count or not all(cells):
            self._defect(name, part, f"expected {count} parts: {line}")
            return (*cells, "?", "?", "?", "?")[:count]
        return cells

    def _pairs(self, name: str, part: str) -> dict[str, str]:
        found: dict[str, str] = {}
        back: dict[str, str] = {}
        for line in self._lines(name, part):
            one_way = ">" in line
            key, value = self._split(name, part, line, ">" if one_way else None, 2)
            if found.setdefault(key.lower(), value) != value:
                self._defect(name, part, f"two answers for {key}")
            if not one_way:
                back.setdefault(value.lower(), key)
        return back | found

    def _columns(self, name: str, part: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in self._lines(name, part):
            key, value = self._split(name, part, line, "|", 2)
            found[key.lower()] = value
        return found

    def _by_category(self, name: str, part: str) -> dict[str, tuple[str, ...]]:
        return _grouped(self._lines(name, part), lambda line: self._split(name, part, line, "|", 2))

    def _forms(self) -> dict[str, tuple[tuple[str, str], ...]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for line in self._lines("reduction", "forms"):
            category, head, body = self._split("reduction", "forms", line, "|", 3)
            found.setdefault(category, []).append((head, body))
        return {category: tuple(forms) for category, forms in found.items()}

    def _nouns(self) -> dict[str, NounForm]:
        singulars: dict[str, NounForm] = {}
        others: dict[str, NounForm] = {}
        categories = self._documents["nouns"].get(self._language, {})
        for category in categories:
            for line in self._noun_lines(category):
                noun = self._noun(line, category)
                if noun.singular.lower() in singulars:
                    self._defect("nouns", category, f"named twice: {noun.singular}")
                singulars[noun.singular.lower()] = NounForm(noun, noun.gender == "p")
                for form, is_plural in _inflected(noun):
                    others.setdefault(form.lower(), NounForm(noun, is_plural))
        return others | singulars

    def _noun_lines(self, category: str) -> list[str]:
        text = self._documents["nouns"][self._language][category]
        return [line.strip() for line in str(text).splitlines() if line.strip()]

    def _noun(self, line: str, category: str) -> Noun:
        german = self._language == "de"
        cells = self._split("nouns", category, line, None, 3 if german else 2)
        gender = cells[1] if german else ""
        if german and gender not in GENDERS:
            self._defect("nouns", category, f"gender: {line}")
        plural = "" if cells[-1] == "-" else cells[-1]
        return Noun(cells[0], plural, gender, category)

    def _other_nouns(self, name: str) -> dict[str, Noun]:
        """What stands for a noun: "Hund > Doggo | m"."""
        found: dict[str, Noun] = {}
        for key, value in self._pairs(name, "nouns").items():
            word, _, gender = (cell.strip() for cell in value.partition("|"))
            if self._language == "de" and gender not in GENDERS:
                self._defect(name, "nouns", f"gender: {key}")
            found[key] = Noun(word, "", gender, name)
        return found

    def _found(self) -> tuple[Noun, ...]:
        if self._language == "en":
            return tuple(Noun(line, "", "", "found") for line in self._lines("dada", "found"))
        cells = [self._split("dada", "found", x, None, 2) for x in self._lines("dada", "found")]
        return tuple(Noun(word, "", gender, "found") for word, gender in cells)

    def _defect(self, name: str, part: str, reason: str) -> None:
        self._defects.append(Defect(f"{name}.yaml", f"{self._language}.{part}", reason))


def _grouped(
    lines: list[str], split: Callable[[str], tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        category, text = split(line)
        found.setdefault(category, []).append(text)
    return {category: tuple(texts) for category, texts in found.items()}


def _inflected(noun: Noun) -> list[tuple[str, bool]]:
    forms = [(noun.plural, True)] if noun.plural else []
    if noun.gender in ("m", "n"):
        forms += [(noun.singular + "s", False), (noun.singular + "es", False)]
        forms += [(noun.singular + "e", False)] if not noun.plural else []
    if noun.gender and noun.plural and noun.plural[-1] not in "ns":
        forms.append((noun.plural + "n", True))
    return forms
