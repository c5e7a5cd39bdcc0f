"""Characters that look like Latin letters, and the letters they look like. Pure.

The table is that of UTS 39 (confusables.txt of Unicode 15.1, as `confusable-homoglyphs` ships it),
cut to what stands for Latin letters, and then ours, where it lacks or tells otherwise: upside-down
letters, framed letters, Braille, letters with strokes. Capitals have entries of their own: a Greek
capital eta looks like H, the small one like n. UTS 39 has one class for I, l, 1 and |; what is
of it without being an i or an l itself is folded to 1, which is read both ways.

Left alone: digits (they are read as letters where they stand among letters), and the letters of
Hangul, Kana and Han, whose words would fall apart. Of Arabic only letters that are written for one
another are folded.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping

from confusable_homoglyphs.confusables import confusables_data

_MAX_LETTERS = 3
_OWN_WORDS = ("ARABIC", "HANGUL", "CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "KANGXI")
# The package writes letters that run from right to left between marks.
_MARKS = "\u200e\u200f"
_CLASS_OF_L = "l"

_PAIRS = (
    # Cyrillic, small then capital
    "аa вb еe ѕs іi јj кk мm нh оo рp сc тt уy хx ԁd ԛq ԝw һh ӏl ьb гr пn "
    "АA ВB ЕE ЅS ІI ЈJ КK МM НH ОO РP СC ТT УY ХX ԌG ԚQ ԜW ҺH ӀI ЬB ҮY үy "
    # Greek
    "αa βb γy εe ζz ηn ιi κk νv οo ρp σo ςs τt υu χx ωw ϲc ϳj ϵe "
    "ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX ϹC ϜF "
    # Armenian, Cherokee
    "հh օo սu ոn ցg զq յj Օo Սu Տs "
    "ᎪA ᏴB ᏟC ᎠD ᎬE ᎻH ᎥI ᎫJ ᏦK ᏞL ᎷM ᏢP ᎡR ᏚS ᎢT ᏙV ᎳW ᎩY ᏃZ "
    # Latin letters with strokes, small capitals, upside down
    "ıi ȷj ɑa ɡg ɩi øo Øo đd Đd łl Łl ħh Ħh ŧt Ŧt ƶz ɨi ʉu ƀb ɓb ɗd ðd Ðd ɛe Ɛe ɔc ŋn Ŋn ƙk ƴy "
    "ᴀa ʙb ᴄc ᴅd ᴇe ꜰf ɢg ʜh ɪi ᴊj ᴋk ʟl ᴍm ɴn ᴏo ᴘp ʀr ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ᴢz "
    "ᴉi ᴙr ɐa ǝe ɟf ƃg ɥh ʞk ɯm ɹr ʇt ʌv ʍw ʎy ꓕt "
    # Arabic letters that are written for one another, and those of Persian keyboards
    "ىي یي ےي ةه ھه ہه کك ٱا "
    # Signs that are drawn or typed for letters
    "×x ❌x ✖x ✕x ✗x ⭕o 💲$ ❗! ❕! ¡! ¢c £l ¥y μu "
    # Symbols drawn with other characters: svasti signs of Tibet, koppa written as a sig rune
    "࿕卐 ࿖卍 ࿗卐 ࿘卍 ϟᛋ Ϟᛋ"
)
_BRAILLE = "⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠭⠽⠵⠺"
_BRAILLE_LETTERS = "abcdefghijklmnopqrstuvxyzw"


def _framed() -> Mapping[str, str]:
    """Negative circled and squared letters and regional indicators, which NFKD leaves alone."""
    starts = (0x1F150, 0x1F170, 0x1F1E6)
    return {chr(start + i): chr(ord("a") + i) for start in starts for i in range(26)}


def _uts39() -> Iterator[tuple[str, str]]:
    """What UTS 39 says of single characters outside ASCII that stand for Latin letters."""
    for key, related in confusables_data.items():
        character = key.strip(_MARKS)
        if len(character) != 1 or character.isascii() or not _is_folded(character):
            continue
        for entry in related:
            letters = entry["c"].strip(_MARKS)
            # Both directions are in the table; only the prototype is plain ASCII.
            if letters.isascii() and letters.isalpha() and len(letters) <= _letters(character):
                yield character, _of_class_l(character) if letters == _CLASS_OF_L else letters


def _is_folded(character: str) -> bool:
    category = unicodedata.category(character)
    name = unicodedata.name(character, "")
    return (
        category[0] in "LNPS"
        and category != "Sk"
        and unicodedata.digit(character, None) is None
        and not name.startswith(_OWN_WORDS)
    )


def _letters(character: str) -> int:
    """Ligatures stand for several letters; elsewhere only capitals would ("Ы" for "bl")."""
    return _MAX_LETTERS if "LATIN" in unicodedata.name(character, "") else 1


def _of_class_l(character: str) -> str:
    name = f"{unicodedata.name(character, '')} "
    if "IOTA " in name or "LETTER I " in name or "UKRAINIAN I " in name:
        return "i"
    return "l" if "LETTER L " in name else "1"


CONFUSABLES: Mapping[str, str] = {
    **dict(_uts39()),
    **{pair[0]: pair[1:] for pair in _PAIRS.split()},
    **dict(zip(_BRAILLE, _BRAILLE_LETTERS, strict=True)),
    **_framed(),
    "æ": "ae",
    "Æ": "ae",
    "œ": "oe",
    "Œ": "oe",
}

# Another table finds other words, so it belongs to the version of the lists.
CONFUSABLES_DIGEST = hashlib.sha256(repr(sorted(CONFUSABLES.items())).encode()).hexdigest()
