"""German noun phrases: which article, which ending, which case. Pure.

Cases are n (nominative), a (accusative), d (dative), g (genitive); genders m f n p (plural).
"""

from __future__ import annotations

from collections.abc import Mapping

_DEFINITE: Mapping[str, Mapping[str, str]] = {
    "n": {"m": "der", "f": "die", "n": "das", "p": "die"},
    "a": {"m": "den", "f": "die", "n": "das", "p": "die"},
    "d": {"m": "dem", "f": "der", "n": "dem", "p": "den"},
    "g": {"m": "des", "f": "der", "n": "des", "p": "der"},
}
_EIN_ENDINGS: Mapping[str, Mapping[str, str]] = {
    "n": {"m": "", "f": "e", "n": "", "p": "e"},
    "a": {"m": "en", "f": "e", "n": "", "p": "e"},
    "d": {"m": "em", "f": "er", "n": "em", "p": "en"},
    "g": {"m": "es", "f": "er", "n": "es", "p": "er"},
}
# Adjective endings after der-words, after ein-words, and alone.
_WEAK: Mapping[str, Mapping[str, str]] = {
    "n": {"m": "e", "f": "e", "n": "e", "p": "en"},
    "a": {"m": "en", "f": "e", "n": "e", "p": "en"},
    "d": {"m": "en", "f": "en", "n": "en", "p": "en"},
    "g": {"m": "en", "f": "en", "n": "en", "p": "en"},
}
_MIXED: Mapping[str, Mapping[str, str]] = {
    **_WEAK,
    "n": {"m": "er", "f": "e", "n": "es", "p": "en"},
    "a": {"m": "en", "f": "e", "n": "es", "p": "en"},
}
_STRONG: Mapping[str, Mapping[str, str]] = {
    "n": {"m": "er", "f": "e", "n": "es", "p": "e"},
    "a": {"m": "en", "f": "e", "n": "es", "p": "e"},
    "d": {"m": "em", "f": "er", "n": "em", "p": "en"},
    "g": {"m": "en", "f": "er", "n": "en", "p": "er"},
}
_EIN_STEMS = ("ein", "kein", "mein", "dein", "sein", "ihr", "unser")
_DIESER_STEMS = ("dies", "jen", "jed", "welch", "manch")
_CONTRACTED = {
    "im": ("in", "dem"), "am": ("an", "dem"), "vom": ("von", "dem"), "zum": ("zu", "dem"),
    "zur": ("zu", "der"), "beim": ("bei", "dem"), "ins": ("in", "das"), "ans": ("an", "das"),
    "aufs": ("auf", "das"), "fürs": ("für", "das"), "ums": ("um", "das"),
}  # fmt: skip
_CONTRACT = {
    ("in", "dem"): "im", ("an", "dem"): "am", ("von", "dem"): "vom", ("zu", "dem"): "zum",
    ("zu", "der"): "zur", ("bei", "dem"): "beim", ("in", "das"): "ins", ("an", "das"): "ans",
}  # fmt: skip
_DATIVE_PREPOSITIONS = frozenset("mit bei nach von zu aus seit gegenüber außer".split())
_ENDINGS = ("en", "em", "er", "es", "e")
# Nouns that take -n or -en in all cases but the nominative.
_WEAK_NOUNS = frozenset(
    ("Löwe", "Affe", "Hase", "Bär", "Mensch", "Junge", "Prinz", "Held", "Narr", "Riese", "Satellit",
     "Planet", "Komet", "Drache", "Bauer", "Nachbar", "Elefant", "Diamant", "Buchstabe",
     "Astronaut", "Pirat", "Superheld", "Krake")
)  # fmt: skip


def definite(case: str, gender: str) -> str:
    """The definite article."""
    return _DEFINITE[case][gender]


def indefinite(case: str, gender: str) -> str:
    """The indefinite article; empty in the plural."""
    return "" if gender == "p" else "ein" + _EIN_ENDINGS[case][gender]


def split_contraction(word: str) -> tuple[str, str] | None:
    """The preposition and article in a word like "im"."""
    return _CONTRACTED.get(word.lower())


def contracted(preposition: str, article: str) -> str:
    """Both as one word where German joins them, else side by side."""
    return _CONTRACT.get((preposition, article), f"{preposition} {article}")


def case_of(determiner: str, gender: str, preposition: str, *, subject: bool) -> str:
    """The case a noun phrase stands in; where forms coincide, the likeliest.

    `subject` says that no verb stands before it.
    """
    lower = determiner.lower()
    if not lower:
        return "d" if preposition else ("n" if subject else "a")
    cases = [case for case in "nadg" if _form(lower, case, gender) == lower]
    if preposition:
        preferred = "d" if preposition in _DATIVE_PREPOSITIONS else "ad"
        return next((case for case in cases if case in preferred), "d")
    if not cases:
        return "n" if subject else "a"
    if "n" in cases and "a" in cases:
        return "n" if subject else "a"
    return cases[0]


def inflected(name: str, case: str, gender: str) -> str:
    """A noun in a case; only the endings of weak nouns."""
    if gender == "m" and case in "adg" and name in _WEAK_NOUNS:
        return f"{name}n" if name.endswith("e") else f"{name}en"
    return name


def inflect_determiner(determiner: str, case: str, gender: str) -> str:
    """The same determiner in another case and gender; itself when it is of an unknown kind."""
    return _form(determiner.lower(), case, gender) or determiner


def adjective_ending(determiner: str, case: str, gender: str) -> str:
    """The ending an adjective takes after this determiner ("" for none)."""
    lower = determiner.lower()
    if not lower:
        return _STRONG[case][gender]
    if lower.startswith(_EIN_STEMS):
        return _MIXED[case][gender]
    return _WEAK[case][gender]


def stem(adjective: str) -> tuple[str, str]:
    """An adjective's likely stem and ending: "roten" is "rot" and "en"."""
    for ending in _ENDINGS:
        if adjective.endswith(ending) and len(adjective) > len(ending) + 2:
            return adjective[: -len(ending)], ending
    return adjective, ""


def with_ending(stem_of_it: str, ending: str) -> str:
    """A stem with an ending, as German writes it: "dunkel" and "e" is "dunkle"."""
    if not ending:
        return stem_of_it
    if (
        stem_of_it.endswith(("el", "er"))
        and len(stem_of_it) > 4
        and stem_of_it[-3] not in "aeiouäöü"
    ):
        # teuer, dunkel, sauer lose their e; "leiser" and its like never come here.
        if stem_of_it.endswith("el"):
            return stem_of_it[:-2] + "l" + ending
    if stem_of_it.endswith("e"):
        stem_of_it = stem_of_it[:-1]
    if stem_of_it == "hoch":
        stem_of_it = "hoh"
    return stem_of_it + ending


def gender_of_ending(noun: str) -> str:
    """The gender a noun's ending suggests, or "" when it suggests none."""
    lower = noun.lower()
    if lower.endswith(("chen", "lein", "ment", "tum", "icht")):
        return "n"
    if lower.endswith(("ung", "heit", "keit", "schaft", "ion", "tät", "ik", "ur", "enz", "anz")):
        return "f"
    if lower.endswith(("ling", "ismus", "or", "ant", "ent", "ist", "ich", "ig")):
        return "m"
    return ""


def gender_of_determiner(determiner: str, preposition: str) -> str:
    """The gender a determiner betrays, or "" when it could be several."""
    lower = determiner.lower()
    if lower in ("das", "dieses", "jedes"):
        return "n"
    if lower.endswith("ine") or (lower == "die"):
        return "f"
    if lower.endswith("inen") or (lower == "der" and not preposition):
        return "m"
    if lower == "der" or lower.endswith("iner"):
        return "f"
    return ""


def _form(determiner: str, case: str, gender: str) -> str:
    if determiner in ("der", "die", "das", "dem", "den", "des"):
        return _DEFINITE[case][gender]
    for stem_of_it in _EIN_STEMS:
        rest = determiner.removeprefix(stem_of_it)
        if rest != determiner and rest in ("", *_ENDINGS):
            if gender == "p" and stem_of_it == "ein":
                return ""
            return stem_of_it + _EIN_ENDINGS[case][gender]
    for stem_of_it in _DIESER_STEMS:
        if determiner.removeprefix(stem_of_it) in _ENDINGS:
            return stem_of_it + _STRONG[case][gender]
    return ""
