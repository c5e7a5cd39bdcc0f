"""Llama Guard and models of its manner: the text alone, and an answer of one or two lines.

    safe
    unsafe
    S1,S10

The template of such a model holds the instructions, so there is no room for marks or a ticket. The
answer is read by this grammar and no other, and comes on a connection of its own.
"""

from __future__ import annotations

import re

from services.safety.domain.policy import LanguageModelPolicy
from services.safety.domain.verdict import Hit
from services.safety.judge.answers import is_refusal
from services.safety.judge.complaints import OfTexts
from services.safety.judge.model_client import Asking
from services.safety.judge.text_pieces import without_signs
from services.safety.judge.text_question import TextQuestion

# "unsafe" and all fourteen codes.
MAX_ANSWER_TOKENS = 100
_ANSWER = re.compile(
    r"(?P<said>safe|unsafe)(?:[ ]*\n(?P<codes>S[0-9]{1,3}(?:,[ ]?S[0-9]{1,3}){0,31}))?", re.ASCII
)


class LlamaGuardForm:
    """Asks a classifier; its codes mean what the policy says."""

    def __init__(self, policy: LanguageModelPolicy, complaints: OfTexts) -> None:
        self._policy = policy
        self._complaints = complaints

    def question(self, text: str) -> TextQuestion:
        """Return what is asked about a text, and how the answer is read."""
        messages = ({"role": "user", "content": without_signs(text)},)
        return TextQuestion(Asking(messages, MAX_ANSWER_TOKENS, own_connection=True), self._read)

    def _read(self, answer: str) -> tuple[Hit, ...]:
        found = _ANSWER.fullmatch(answer)
        if found is None:
            if is_refusal(answer):
                raise self._complaints.refused()
            raise self._complaints.odd("gave an answer that is not of the form")
        codes = re.split(", ?", found["codes"]) if found["codes"] else []
        if (found["said"] == "safe") is bool(codes):
            raise self._complaints.contradiction()
        return tuple(map(self._hit, codes))

    def _hit(self, code: str) -> Hit:
        known = self._policy.codes.get(code)
        meant = known or self._policy.unknown
        return Hit(meant.category, meant.severity, code="" if known else code)
