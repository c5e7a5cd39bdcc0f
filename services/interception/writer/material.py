"""What a technique gets to work with."""

from __future__ import annotations

from dataclasses import dataclass

from services.interception.domain.draw import Draw
from services.interception.domain.technique import BuiltinWriting
from services.interception.writer.lexicon import Lexicon, Vocabulary


@dataclass(frozen=True, slots=True)
class Material:
    """One text for one technique. The draw makes chance repeatable."""

    text: str
    language: str
    rules: str
    draw: Draw
    writing: BuiltinWriting
    lexicon: Lexicon
    # Of the pass, from 1.
    number: int = 1
    # Of the run: the same in all its passes.
    seed: int = 0

    @property
    def voice(self) -> str:
        """The language the writer writes in: German for German, English for all else."""
        return "de" if self.language == "de" else "en"

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of that language."""
        return self.lexicon.of(self.voice)

    def option(self, name: str) -> float:
        """A number of the recipe's."""
        return self.writing.option(name)
