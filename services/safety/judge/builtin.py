"""The judge that needs no model: rules about words that mean something together."""

from __future__ import annotations

from services.safety.domain.rules import RuleBook
from services.safety.domain.verdict import ModelUsed
from services.safety.ports import BUILTIN, Opinion, Question
from services.safety.workers import Workers


class BuiltinJudge:
    """Judges by the rule book, on this machine."""

    name = BUILTIN
    elsewhere = False
    remote = False

    def __init__(self, rules: RuleBook, workers: Workers) -> None:
        self.version = f"{BUILTIN}:{rules.version}"
        self._rules = rules
        self._workers = workers
        self._used = ModelUsed(backend="builtin", model=f"rules-{rules.version}")

    async def judge(self, question: Question) -> Opinion:
        """Return what the rules find. Raises ResourceExhausted SAFETY_BUSY."""
        hits = await self._workers.run(
            len(question.text), self._rules.find, question.folded, question.readings
        )
        return Opinion(hits, self._used)

    async def aclose(self) -> None:
        """Nothing is held."""
