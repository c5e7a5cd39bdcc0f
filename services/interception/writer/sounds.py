"""How words sound, roughly, and how far two of them are apart. Pure."""

from __future__ import annotations

# Sounds that ears confuse. The order matters: longer spellings first.
_SOUNDS = (
    ("sch", "S"), ("ch", "x"), ("ck", "k"), ("ph", "f"), ("th", "t"), ("qu", "kw"), ("tz", "s"),
    ("ss", "s"), ("ß", "s"), ("ä", "e"), ("ö", "o"), ("ü", "u"), ("ie", "i"), ("ei", "a"),
    ("ai", "a"), ("eu", "o"), ("äu", "o"), ("ee", "i"), ("oo", "u"), ("ea", "i"), ("ou", "u"),
    ("v", "f"), ("w", "f"), ("b", "p"), ("d", "t"), ("g", "k"), ("c", "k"), ("z", "s"), ("y", "i"),
    ("h", ""),
)  # fmt: skip


def sounds(word: str) -> str:
    """A rough key of how a word sounds: similar sounds share a letter, doubles are one."""
    text = word.lower()
    for spelling, sound in _SOUNDS:
        text = text.replace(spelling, sound)
    key = [
        character for index, character in enumerate(text) if text[index - 1 : index] != character
    ]
    return "".join(key)


def distance(one: str, other: str) -> int:
    """Levenshtein's: how many sounds are added, lost or exchanged."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            cost = previous if left == right else 1 + min(previous, row[j], row[j - 1])
            previous, row[j] = row[j], cost
    return row[-1]
