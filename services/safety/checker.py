"""Judging one text: the checks of the policy's row, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.kit.errors import PermissionDenied
from services.safety.domain.levels import Level, MediaKind, Purpose
from services.safety.domain.matching import read_text
from services.safety.domain.normalize import Folded, fold
from services.safety.domain.personal import VERSION as PERSONAL_VERSION
from services.safety.domain.personal import find_personal_data
from services.safety.domain.policy import Check, Decision, OnHit, Row
from services.safety.domain.safety import Safety
from services.safety.domain.tokens import Letters
from services.safety.domain.verdict import Hit, ModelUsed, Verdict
from services.safety.domain.wordlist import MAX_TERMS_SHOWN, Finding
from services.safety.ports import Judge, Question
from services.safety.workers import Workers

PERSONAL_DATA = "personal_data"
PERSONAL_SEVERITY = 2


@dataclass(frozen=True, slots=True)
class TextToCheck:
    """A parsed request."""

    text: str
    level: Level
    purpose: Purpose
    language: str = ""
    kind: MediaKind | None = None


class _Examination:
    """What the checks of one text have found so far."""

    def __init__(self) -> None:
        self.checks: list[str] = []
        self.hits: list[Hit] = []
        self.signals = 0
        self.used: ModelUsed | None = None

    def add(self, check: str, hits: Iterable[Hit]) -> None:
        self.checks.append(check)
        self.hits.extend(hits)


class TextChecker:
    """The use case behind CheckText."""

    def __init__(self, safety: Safety, judge: Judge, level: Level, workers: Workers) -> None:
        self.safety = safety
        self.level = level
        self.judge = judge
        self._workers = workers
        # What judged when the lists alone decided.
        self._lists = ModelUsed("builtin", f"rules-{safety.rules.version}")

    async def check(self, request: TextToCheck) -> Verdict:
        """Return the verdict.

        A check that fails raises: there is no verdict then, and certainly no safe one.
        Raises PermissionDenied SAFETY_LEVEL_TOO_LAX.
        """
        if request.level > self.level:
            raise PermissionDenied(
                "SAFETY_LEVEL_TOO_LAX",
                f"this server's level is {self.level.label}; a request may only be stricter",
                field="level",
                metadata={"level": self.level.label},
            )
        row = self.safety.policy.rows[request.level, request.purpose]
        text = request.text
        folded, readings = await self._workers.run(len(text), _prepare, text)
        examination = _Examination()
        decision = Decision("", (), False)
        for step in row.steps:
            await self._make(step.check, request, folded, readings, examination)
            decision = self.safety.policy.decide(row, examination.hits, examination.signals)
            if decision.category and step.on_hit is OnHit.STOP:
                break
        if decision.asked_context:
            examination.checks.append(f"context:{self.safety.wordlist.version}")
        return self._verdict(request, row, decision, examination)

    async def _make(
        self,
        check: Check,
        request: TextToCheck,
        folded: Folded,
        readings: tuple[Letters, ...],
        examination: _Examination,
    ) -> None:
        text = request.text
        if check is Check.WORDLIST:
            finding: Finding = await self._workers.run(
                len(text), self.safety.wordlist.find, folded, readings
            )
            examination.signals = finding.signals
            examination.add(f"wordlist:{self.safety.wordlist.version}", finding.hits)
        elif check is Check.PERSONAL_DATA:
            found = await self._workers.run(len(text), find_personal_data, text)
            hits = [Hit(PERSONAL_DATA, PERSONAL_SEVERITY, term) for term in found]
            examination.add(f"personal_data:{PERSONAL_VERSION}", hits)
        else:
            question = Question(
                text, folded, readings, request.level, request.purpose, request.kind
            )
            opinion = await self.judge.judge(question)
            examination.used = opinion.used
            examination.add(f"judge:{self.judge.name}", opinion.hits)

    def _verdict(
        self, request: TextToCheck, row: Row, decision: Decision, examination: _Examination
    ) -> Verdict:
        language = self.safety.explanations.language_for(request.language)
        terms = dict.fromkeys(hit.term for hit in examination.hits if hit.term)
        blocked = bool(decision.category)
        told = (
            self.safety.explanations.of(language, request.level, decision.category)
            if blocked
            else None
        )
        return Verdict(
            blocked=blocked,
            rule=f"{row.level.label}.{decision.category}" if blocked else "",
            codes=decision.codes,
            checks=tuple(examination.checks),
            terms=tuple(terms)[:MAX_TERMS_SHOWN],
            explanation=told.explanation if told else "",
            suggestion=told.suggestion if told else "",
            language=language,
            purpose=request.purpose,
            level=request.level,
            used=examination.used or self._lists,
        )


def _prepare(text: str) -> tuple[Folded, tuple[Letters, ...]]:
    folded = fold(text)
    return folded, read_text(folded)
