"""Stille Post: mishearing. Every pass changes a little, and the next begins from there.

A word becomes one that sounds like it: first from a lexicon of mishearings, then the noun of the
vocabulary that is nearest by sound, then a shift of one sound inside the word. Now and then a small
word is lost or two words run together.
"""

from __future__ import annotations

from services.interception.domain.draw import Draw
from services.interception.writer.lexicon import Noun, NounForm, Vocabulary
from services.interception.writer.material import Material
from services.interception.writer.sounds import distance, sounds
from services.interception.writer.templates import english_article
from services.interception.writer.tokens import is_unspaced, like, tokenize

# At most so many words are misheard in one pass, however long the text is.
MAX_MISHEARD = 60
# How often a noun is misheard as the lexicon says, and not as another that sounds like it.
KNOWN_SHARE = 0.6
# How far a word of the vocabulary may be away, as a share of the longer one's sounds.
MAX_DISTANCE = 0.5

_SHIFTS = (
    ("b", "p"), ("d", "t"), ("g", "k"), ("f", "w"), ("m", "n"), ("l", "r"), ("a", "o"), ("e", "i"),
    ("o", "u"), ("s", "z"),
)  # fmt: skip


def mishear(material: Material) -> str:
    """The text as the next ear heard it; different wherever there is something to mishear."""
    tokens = tokenize(material.text)
    texts = [token.text for token in tokens]
    vocabulary, draw = material.vocabulary, material.draw
    places = [at for at, token in enumerate(tokens) if _audible(token.text, token.is_word)]
    content = [at for at in places if texts[at].lower() not in vocabulary.function_words]
    if not places:
        return material.text
    wanted = max(1, min(MAX_MISHEARD, round(len(places) * material.option("share"))))
    heard, way = 0, _Way(material.seed)
    for at in _order(texts, content or places, vocabulary, draw):
        if heard >= wanted:
            break
        genders = _genders(texts, at) if material.voice == "de" else ""
        other = _misheard(texts[at], genders, vocabulary, draw, way)
        if other != texts[at]:
            texts[at] = other
            heard += 1
            if at >= 2 and material.voice == "en" and texts[at - 2].lower() in ("a", "an"):
                texts[at - 2] = like(english_article(other), texts[at - 2][:1])
    if len(places) > 5 and draw.chance(0.25):
        _lose(texts, places, vocabulary, draw)
    text = "".join(texts)
    if text == material.text:
        text = _shift_anything(texts, places, draw)
    return text if text.strip() else material.text


class _Way:
    """Which way nouns are misheard in all passes of a run, so that they seldom come back.

    A pass remembers nothing of those before; that a noun gives way to one that comes later in an
    order of the seed's, while there is any, keeps them from going in circles.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def goes_on(self, word: str, other: str) -> bool:
        """Whether the one may be misheard as the other."""
        return self._place(word) < self._place(other)

    def _place(self, word: str) -> int:
        return Draw("mishear", self._seed, word.lower()).number()


def _order(texts: list[str], places: list[int], vocabulary: Vocabulary, draw: Draw) -> list[int]:
    """Which words are tried: things if there are any, for that is where a sentence turns."""
    drawn = draw.shuffled(places)
    return [at for at in drawn if _rings(texts[at], vocabulary)] or drawn


def _rings(word: str, vocabulary: Vocabulary) -> bool:
    return word.lower() in vocabulary.misheard or (
        vocabulary.noun(word) is not None and word.lower() not in vocabulary.verbs
    )


# Which genders a word may have after this determiner; "" means any.
_AFTER = {
    "eine": "f", "einer": "f", "die": "fp", "der": "mf", "das": "n", "dem": "mn", "den": "mp",
    "ein": "mn", "einen": "m", "einem": "mn", "im": "mn", "am": "mn", "vom": "mn", "zum": "mn",
    "zur": "f", "ins": "n", "mein": "mn", "meine": "fp", "sein": "mn", "seine": "fp",
}  # fmt: skip


def _genders(texts: list[str], at: int) -> str:
    return _AFTER.get(texts[at - 2].lower(), "") if at >= 2 else ""


def _audible(text: str, is_word: bool) -> bool:
    return is_word and any(character.isalpha() for character in text)


def _misheard(word: str, genders: str, vocabulary: Vocabulary, draw: Draw, way: _Way) -> str:
    if is_unspaced(word):
        return _shift_unspaced(word, draw)
    direct = vocabulary.misheard.get(word.lower())
    form = vocabulary.noun(word)
    # The known mishearing of a noun is the likeliest, not the only one: else all chains end alike.
    known = (
        direct is not None
        and way.goes_on(word, direct)
        and _agrees(vocabulary.noun(direct), form, genders)
        and draw.chance(KNOWN_SHARE)
    )
    if direct is not None and (form is None or known):
        # A noun of German stays large, a verb or adjective small.
        return like(direct, word) if word[:1].isupper() else direct
    if form is None and _may_be_noun(word, vocabulary):
        form = NounForm(Noun(word, "", "", "any"), False)
    near = _nearest(form, genders, vocabulary, draw, way) if form is not None else None
    if form is not None and near is not None:
        name = near.plural if form.is_plural and near.plural else near.singular
        return like(name, word)
    return _shift(word, draw)


def _agrees(other: NounForm | None, form: NounForm | None, genders: str) -> bool:
    """Whether a noun may stand where another one stood: as many, and of a gender that fits."""
    if other is None or form is None:
        return True
    if other.is_plural or form.is_plural:
        return other.is_plural == form.is_plural
    return other.noun.gender in genders if genders else True


def _may_be_noun(word: str, vocabulary: Vocabulary) -> bool:
    lower = word.lower()
    if len(word) < 3 or lower in vocabulary.function_words or lower in vocabulary.verbs:
        return False
    return vocabulary.language == "en" or word[:1].isupper()


def _nearest(
    form: NounForm, genders: str, vocabulary: Vocabulary, draw: Draw, way: _Way
) -> Noun | None:
    """A noun that sounds alike; one that goes with the article if there is one."""
    noun = form.noun
    own = sounds(noun.singular)
    scored: list[tuple[float, str, Noun]] = []
    for other_sounds, other in vocabulary.sounding:
        longest = max(len(own), len(other_sounds), 1)
        if other.singular.lower() == noun.singular.lower() or (form.is_plural and not other.plural):
            continue
        if abs(len(own) - len(other_sounds)) > longest * MAX_DISTANCE:
            continue
        share = distance(own, other_sounds) / longest
        if share <= MAX_DISTANCE:
            scored.append((share, other.singular, other))
    fitting = [
        entry
        for entry in scored
        if (entry[2].gender in genders if genders else entry[2].gender == noun.gender)
    ]
    onward = [entry for entry in fitting if way.goes_on(noun.singular, entry[1])]
    chosen = sorted(onward or fitting or scored, key=lambda entry: entry[:2])
    return draw.one(chosen[:3])[2] if chosen else None


def _shift(word: str, draw: Draw) -> str:
    """Exchange one sound inside the word; the first letter stays, so that it can be recognised."""
    both = [*_SHIFTS, *((new, old) for old, new in _SHIFTS)]
    choices = [
        (at, new) for at, letter in enumerate(word) if at for old, new in both if letter == old
    ]
    if choices:
        at, new = draw.one(choices)
        return word[:at] + new + word[at + 1 :]
    if len(word) > 3:
        at = 1 + draw.below(len(word) - 2)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word


def _shift_unspaced(word: str, draw: Draw) -> str:
    if len(word) < 2:
        return word
    at = draw.below(len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _lose(texts: list[str], places: list[int], vocabulary: Vocabulary, draw: Draw) -> None:
    """Lose one small word that nobody misses."""
    small = [at for at in places[1:] if texts[at].lower() in vocabulary.adverbs]
    if not small:
        return
    at = draw.one(small)
    texts[at] = ""
    if at + 1 < len(texts) and texts[at + 1].isspace():
        texts[at + 1] = ""


def _shift_anything(texts: list[str], places: list[int], draw: Draw) -> str:
    for at in draw.shuffled(places):
        other = _shift(texts[at], draw)
        if other != texts[at]:
            texts[at] = other
            break
    return "".join(texts)
