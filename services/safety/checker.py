"""Judging one text: the checks of the policy's row, in order."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.kit.errors import FailedPrecondition, PermissionDenied, Unavailable
from services.kit.log import facts
from services.safety.domain.levels import Level, MediaKind, Purpose
from services.safety.domain.normalize import Folded
from services.safety.domain.policy import Check, Decision, OnFailure, OnHit, Row, Step
from services.safety.domain.safety import Safety
from services.safety.domain.tokens import Letters
from services.safety.domain.verdict import Hit, ModelUsed, Verdict
from services.safety.domain.wordlist import MAX_TERMS_SHOWN, Finding
from services.safety.judge_errors import judge_is_remote
from services.safety.ports import Judge, Opinion, Question
from services.safety.workers import Workers

log = logging.getLogger(__name__)

PERSONAL_DATA = "personal_data"
PERSONAL_SEVERITY = 2


@dataclass(frozen=True, slots=True)
class TextToCheck:
    """A parsed request; `local_only`: the text may reach no machine but one's own."""

    text: str
    level: Level
    purpose: Purpose
    language: str = ""
    kind: MediaKind | None = None
    local_only: bool = False


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

    def __init__(
        self, safety: Safety, judges: Sequence[Judge], level: Level, workers: Workers
    ) -> None:
        self.safety = safety
        self.level = level
        # Those in this process first: what they refuse is not sent elsewhere.
        self.judges = tuple(sorted(judges, key=lambda judge: judge.elsewhere))
        self._workers = workers
        # What judged when the lists alone decided.
        self._lists = ModelUsed("builtin", f"rules-{safety.rules.version}")

    def require_judges(self) -> None:
        """Say whether every text can be judged at the server's level and the stricter ones.

        Raises FailedPrecondition TEXT_JUDGE_MISSING.
        """
        for (level, _), row in self.safety.policy.rows.items():
            if level <= self.level:
                self._require_judges(row)

    def _require_judges(self, row: Row) -> None:
        there = {judge.name for judge in self.judges}
        missing = [name for name in row.required if name not in there]
        if missing:
            raise FailedPrecondition(
                "TEXT_JUDGE_MISSING",
                f"{', '.join(missing)} must judge texts at {row.level.label} and is not set up;"
                " ARTLAB_SAFETY_JUDGE_BASE_URL says where it is",
                metadata={"level": row.level.label, "judges": ",".join(missing)},
            )

    async def check(self, request: TextToCheck) -> Verdict:
        """Return the verdict.

        A check that fails raises: there is no verdict then, and certainly no safe one.
        Raises PermissionDenied SAFETY_LEVEL_TOO_LAX, FailedPrecondition TEXT_JUDGE_MISSING and
        SAFETY_JUDGE_REMOTE, and what the judges raise.
        """
        if request.level > self.level:
            raise PermissionDenied(
                "SAFETY_LEVEL_TOO_LAX",
                f"this server's level is {self.level.label}; a request may only be stricter",
                field="level",
                metadata={"level": self.level.label},
            )
        row = self.safety.policy.rows[request.level, request.purpose]
        self._require_judges(row)
        text = request.text
        folded, readings = await self._workers.run(len(text), self.safety.reader.read, text)
        examination = _Examination()
        decision = Decision("", (), False)
        for step in row.steps:
            await self._make(step, row, request, folded, readings, examination)
            decision = self.safety.policy.decide(row, examination.hits, examination.signals)
            if decision.category and step.on_hit is OnHit.STOP:
                break
        if decision.asked_context:
            examination.checks.append(f"context:{self.safety.wordlist.version}")
        return self._verdict(request, row, decision, examination)

    async def _make(
        self,
        step: Step,
        row: Row,
        request: TextToCheck,
        folded: Folded,
        readings: tuple[Letters, ...],
        examination: _Examination,
    ) -> None:
        text = request.text
        if step.check is Check.WORDLIST:
            finding: Finding = await self._workers.run(
                len(text), self.safety.wordlist.find, folded, readings
            )
            examination.signals = finding.signals
            examination.add(f"wordlist:{self.safety.wordlist.version}", finding.hits)
        elif step.check is Check.PERSONAL_DATA:
            personal = self.safety.personal
            found = await self._workers.run(len(text), personal.find, text)
            hits = [Hit(PERSONAL_DATA, PERSONAL_SEVERITY, term) for term in found]
            examination.add(f"personal_data:{personal.version}", hits)
        else:
            question = Question(
                text, folded, readings, request.level, request.purpose, request.kind
            )
            await self._ask_judges(question, step, row, examination, request.local_only)

    async def _ask_judges(
        self,
        question: Question,
        step: Step,
        row: Row,
        examination: _Examination,
        local_only: bool,
    ) -> None:
        policy = self.safety.policy
        for judge in self.judges:
            if judge.elsewhere:
                so_far = policy.decide(row, examination.hits, examination.signals)
                if so_far.category:
                    # One no is enough, and what was refused here is not sent elsewhere.
                    return
            if local_only and judge.remote:
                if step.on_failure is not OnFailure.BUILTIN:
                    raise judge_is_remote(judge.version)
                log.info("judged without a judge that is remote", extra=facts(judge=judge.version))
                continue
            opinion = await _opinion(judge, question, step.on_failure)
            if opinion is not None:
                examination.used = opinion.used
                examination.add(f"judge:{judge.version}", opinion.hits)

    def _verdict(
        self, request: TextToCheck, row: Row, decision: Decision, examination: _Examination
    ) -> Verdict:
        language = self.safety.explanations.language_for(request.language)
        terms = dict.fromkeys(hit.term for hit in examination.hits if hit.term)
        codes = dict.fromkeys(hit.code for hit in examination.hits if hit.code)
        blocked = bool(decision.category)
        told = (
            self.safety.explanations.of(language, request.level, decision.category)
            if blocked
            else None
        )
        return Verdict(
            blocked=blocked,
            rule=f"{row.level.label}.{decision.category}" if blocked else "",
            codes=(*decision.codes, *codes),
            checks=tuple(examination.checks),
            terms=tuple(terms)[:MAX_TERMS_SHOWN],
            explanation=told.explanation if told else "",
            suggestion=told.suggestion if told else "",
            language=language,
            purpose=request.purpose,
            level=request.level,
            used=examination.used or self._lists,
            alternative=told.alternative(request.text) if told else "",
        )


async def _opinion(judge: Judge, question: Question, on_failure: OnFailure) -> Opinion | None:
    """What the judge says; None when it is away and the policy can do without."""
    try:
        return await judge.judge(question)
    except Unavailable as error:
        # Only then: a text could make a model answer oddly, and so get rid of it.
        away = judge.elsewhere and error.reason == "SAFETY_UNAVAILABLE"
        if not away or on_failure is not OnFailure.BUILTIN:
            raise
        log.warning("judged without a judge that is away", extra=facts(judge=judge.version))
        return None
