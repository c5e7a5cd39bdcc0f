"""Characters that look like Latin letters, and the letters they look like. Pure.

A table of our own after the idea of UTS 39 (confusable skeletons), kept to what people can type or
paste: Cyrillic, Greek, Armenian, Cherokee, small capitals, upside-down letters, framed letters.
Capitals have entries of their own: a Greek capital eta looks like H, the small one like n.
NFKD has already dealt with full-width, mathematical, circled and superscript forms.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    "ɐa ǝe ɟf ƃg ɥh ʞk ɯm ɹr ʇt ʌv ʍw ʎy "
    # Symbols drawn with other characters: svasti signs of Tibet, koppa written as a sig rune
    "࿕卐 ࿖卍 ࿗卐 ࿘卍 ϟᛋ Ϟᛋ"
)


def _framed() -> Mapping[str, str]:
    """Negative circled and squared letters and regional indicators, which NFKD leaves alone."""
    starts = (0x1F150, 0x1F170, 0x1F1E6)
    return {chr(start + i): chr(ord("a") + i) for start in starts for i in range(26)}


CONFUSABLES: Mapping[str, str] = {
    **{pair[0]: pair[1:] for pair in _PAIRS.split()},
    **_framed(),
    "æ": "ae",
    "Æ": "ae",
    "œ": "oe",
    "Œ": "oe",
}
