"""The built-in writer: rules instead of a model.

The same recipe, text, seed and pass always give the same result, on any machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping

from services.interception.domain.draw import Draw
from services.interception.domain.guard import capped
from services.interception.domain.markup import without_control
from services.interception.domain.technique import DEPICTIONS
from services.interception.domain.writing import WritingTask
from services.interception.ports import Written
from services.interception.writer.lexicon import Lexicon
from services.interception.writer.material import Material
from services.interception.writer.techniques.antonyms import antonyms
from services.interception.writer.techniques.cut_up import cut_up
from services.interception.writer.techniques.declutter import declutter
from services.interception.writer.techniques.depict import depict
from services.interception.writer.techniques.harmonize import harmonize
from services.interception.writer.techniques.intensify import intensify
from services.interception.writer.techniques.media import shot_list, song_sheet, tag_list
from services.interception.writer.techniques.mishear import mishear
from services.interception.writer.techniques.perspective import perspective
from services.interception.writer.techniques.pig_latin import pig_latin
from services.interception.writer.techniques.reduction import reduction
from services.interception.writer.techniques.rules import follow_rules
from services.interception.writer.techniques.shapes import inventory, shapes
from services.interception.writer.techniques.slang import slang

# Changes whenever the same task would be written differently; recorded with every text.
VERSION = "2"
MAX_PIECES = 200

_TECHNIQUES: Mapping[str, Callable[[Material], str]] = {
    "cut_up": cut_up,
    "reduction": reduction,
    "perspective": perspective,
    "intensify": intensify,
    "antonyms": antonyms,
    "slang": slang,
    "pig_latin": pig_latin,
    "mishear": mishear,
    "declutter": declutter,
    "harmonize": harmonize,
    "inventory": inventory,
    "shapes": shapes,
    **dict.fromkeys(DEPICTIONS, depict),
    "tag_list": tag_list,
    "shot_list": shot_list,
    "song_sheet": song_sheet,
    "unchanged": lambda material: material.text,
}
# They write sentences of their own, in German or English; the others keep the text's language.
_SPEAKING = frozenset(
    (
        *("cut_up", "reduction", "perspective", "intensify", "slang", "declutter", "harmonize"),
        *("inventory", "shapes"),
        *DEPICTIONS,
    )
)


class BuiltinWriter:
    """Writes by rules; never fails, never empty, never too long."""

    name = "builtin"

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon

    async def write(self, task: WritingTask) -> AsyncGenerator[str | Written, None]:
        """Yield the text in pieces of some words, then the result."""
        # A text of 20 000 characters takes some hundredths of a second.
        written = await asyncio.to_thread(compose, task, self._lexicon)
        for piece in pieces(written.text):
            yield piece
        yield written


def compose(task: WritingTask, lexicon: Lexicon) -> Written:
    """Write one pass."""
    writing = task.writing
    material = Material(
        text=task.text,
        language=task.from_language,
        rules=task.rules,
        draw=Draw(task.name, writing.technique, task.seed, task.number, task.text),
        writing=writing,
        lexicon=lexicon,
        number=task.number,
        seed=task.seed,
    )
    parameters = {"technique": writing.technique, "writer_version": VERSION}
    parameters |= {name: f"{value:g}" for name, value in writing.options.items()}
    if writing.technique == "rules":
        text, applied = follow_rules(material)
        parameters["applied_rules"] = ",".join(applied) or "none"
    else:
        text = _TECHNIQUES[writing.technique](material)
    if writing.technique != "unchanged":
        text = capped(without_control(text))
    return Written(
        text=text if text.strip() else task.text,
        backend="builtin",
        model="",
        language=material.voice if writing.technique in _SPEAKING else task.from_language,
        translated=False if task.translates else None,
        parameters=parameters,
    )


def pieces(text: str) -> list[str]:
    """The text in pieces that end between words, at most 200 of them."""
    size = max(12, -(-len(text) // MAX_PIECES))
    found: list[str] = []
    start = 0
    while start < len(text):
        end = min(start + size, len(text))
        while end < len(text) and end < start + 2 * size and not text[end - 1].isspace():
            end += 1
        found.append(text[start:end])
        start = end
    return found
