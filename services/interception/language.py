"""Which language a text is in, offline.

py3langid, limited to the languages of our recipes, is right from a few words on. A single word
("Hund", "robot") tells it too little, so below `SURE` the words of the built-in writer decide
between German and English; a script that only one of the languages uses decides before both. What
stays doubtful is "und": a wrong language is worse than none.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from services.interception.domain.messages import LANGUAGE_NAMES
from services.kit.errors import FailedPrecondition

UNKNOWN = "und"
LANGUAGES = tuple(sorted(LANGUAGE_NAMES["en"]))
# From here the model's word counts alone; from here it counts when the lexicon is silent.
SURE = 0.85
LIKELY = 0.5
# Longer texts are judged by their beginning.
SAMPLE_CHARACTERS = 4_000
_SCRIPTS = {
    "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "CJK": "zh", "ARABIC": "ar",
    "DEVANAGARI": "hi", "CYRILLIC": "ru", "LATIN": "",
}  # fmt: skip

Knows = Callable[[str], bool]


class Detector:
    """Detects a language.

    The model is loaded once per process, in a thread, at the first use or by `load`.
    """

    def __init__(self, lexicon: Mapping[str, Knows]) -> None:
        self._lexicon = lexicon
        self._model: Any = None
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Load the model, about half a second, without holding up the loop.

        Raises FailedPrecondition LANGUAGE_MODEL_UNUSABLE when it cannot be unpacked.
        """
        async with self._lock:
            if self._model is None:
                try:
                    self._model = await asyncio.to_thread(_load)
                except OSError as error:
                    raise FailedPrecondition(
                        "LANGUAGE_MODEL_UNUSABLE",
                        "the language model cannot be unpacked; is there room in /tmp?",
                    ) from error

    async def detect(self, text: str, hint: str = "") -> str:
        """A primary tag of LANGUAGES, or "und".

        A hint is what the caller believes; it counts unless the text is clearly in another one.
        """
        sample = text[:SAMPLE_CHARACTERS]
        script = _by_script(sample)
        if script is not None:
            return hint if hint and script == UNKNOWN else script
        await self.load()
        language, confidence = self._model.classify(sample)
        if confidence >= SURE:
            return str(language)
        if hint:
            return hint
        known = self._by_words(sample)
        if known:
            return known
        return str(language) if confidence >= LIKELY else UNKNOWN

    def _by_words(self, sample: str) -> str:
        """The language that knows more of the words; "" where none or both know as many."""
        words = [word.strip(".,;:!?\"'()„“”»«–-") for word in sample.split()[:200]]
        counts = {
            language: sum(1 for word in words if word and knows(word))
            for language, knows in self._lexicon.items()
        }
        best = max(counts, key=lambda language: counts[language], default="")
        tied = [language for language, count in counts.items() if count == counts.get(best)]
        return best if best and counts[best] and len(tied) == 1 else ""


def _by_script(sample: str) -> str | None:
    """The language by its script; "und" without letters; None where the model must say."""
    scripts: Counter[str] = Counter()
    for character in sample:
        if not character.isalpha():
            continue
        name = unicodedata.name(character, "")
        scripts[next((script for script in _SCRIPTS if name.startswith(script)), "OTHER")] += 1
    if not scripts:
        return UNKNOWN
    # A Japanese sentence is mostly Chinese signs; a few kana tell.
    if scripts["HIRAGANA"] + scripts["KATAKANA"] > 0 and not scripts["LATIN"]:
        return "ja"
    script, count = scripts.most_common(1)[0]
    if count * 2 < scripts.total():
        return None
    # Russian, Arabic and Hindi share their scripts with languages that are not ours; still the
    # nearest there is. Scripts of none of ours are nobody's.
    if script == "OTHER":
        return UNKNOWN
    return _SCRIPTS[script] or None


@cache
def _load() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    model.set_languages(list(LANGUAGES))
    return model
