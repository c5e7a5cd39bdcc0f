"""What is to be written: one pass of a recipe, one translation, one prompt for a medium. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.interception.domain.recipe import Sampling
from services.interception.domain.technique import BuiltinWriting

TaskName = Literal["interception", "translation", "media_prompt"]


@dataclass(frozen=True, slots=True)
class WritingTask:
    """One text to write. Everything in it is parsed and within bounds.

    Languages are BCP 47 primary tags, "und" when unknown. `name` is the recipe's, or the style's
    for a prompt; `context` is what a model is told to be, by language, "en" at least.
    """

    task: TaskName
    name: str
    text: str
    context: Mapping[str, str]
    sampling: Sampling
    from_language: str
    to_language: str
    seed: int
    number: int = 1
    # The person's own, or empty.
    rules: str = ""
    # How the built-in writer does it.
    writing: BuiltinWriting = field(default_factory=lambda: BuiltinWriting("unchanged"))
    # Whether it is meant to come out in another language.
    translates: bool = False
    # Whether it is a rule by its nature, so that no model is ever asked.
    is_a_rule: bool = False
    # Whether the text may go to no machine but one's own, whatever the mode.
    local_only: bool = False
    # Pseudonym of the person whose text it is, so that lines are fair; empty means nobody's.
    user_id: str = ""
    # The run it belongs to, within which a translation is remembered; empty means none.
    run_id: str = ""

    @property
    def needs_no_model(self) -> bool:
        """Whether a rule makes this text: by its nature, or nothing is to translate."""
        at_home = self.from_language == self.to_language
        return self.is_a_rule or (self.task == "translation" and at_home)

    def context_in(self, language: str) -> str:
        """The context in this language, else in English."""
        return self.context.get(language, self.context["en"])
