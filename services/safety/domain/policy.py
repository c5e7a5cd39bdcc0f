"""The policy table: level and purpose to checks, and what each category means there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.kit.errors import Internal
from services.safety.domain.levels import Level, Purpose
from services.safety.domain.verdict import Hit

MAX_SEVERITY = 3


class Outcome(StrEnum):
    """What a hit of a category leads to. The order is from lax to strict."""

    ALLOW = "allow"
    # Blocked unless the text is clearly about history or teaching.
    CONTEXT = "context"
    BLOCK = "block"


class Check(StrEnum):
    """A check the service can make."""

    WORDLIST = "wordlist"
    PERSONAL_DATA = "personal_data"
    JUDGE = "judge"


class OnFailure(StrEnum):
    """What follows when a check could not be made. The order is from lax to strict."""

    # Of judges only: where a judge elsewhere is away, those in this process are enough.
    BUILTIN = "builtin"
    ERROR = "error"


class OnHit(StrEnum):
    """What follows when the hits of a check block the text."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Step:
    """One check of a row.

    Attributes:
        judges: for JUDGE, those without whom there is no verdict; others that are set up are asked
            as well, and any no is a no.
    """

    check: Check
    on_hit: OnHit
    on_failure: OnFailure = OnFailure.ERROR
    judges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CategoryRule:
    """What a category means in one row.

    Attributes:
        outcome: for hits of at least `severity`; milder ones are allowed.
        signals: for CONTEXT, how many different signs of history or teaching are needed.
    """

    outcome: Outcome
    severity: int = 1
    signals: int = 1

    def outcome_of(self, severity: int) -> Outcome:
        """Return what a hit of this severity leads to."""
        return self.outcome if severity >= self.severity else Outcome.ALLOW


@dataclass(frozen=True, slots=True)
class Row:
    """The checks of one level and purpose, in order, and what their hits mean."""

    level: Level
    purpose: Purpose
    steps: tuple[Step, ...]
    rules: Mapping[str, CategoryRule]

    @property
    def required(self) -> tuple[str, ...]:
        """The judges without whom there is no verdict."""
        return tuple(judge for step in self.steps for judge in step.judges)

    @property
    def needs_every_judge(self) -> bool:
        """Whether a judge that is set up and away is an error here."""
        return any(
            step.check is Check.JUDGE and step.on_failure is OnFailure.ERROR for step in self.steps
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What a row makes of hits: the category that blocks, if any, and all that were hit."""

    category: str
    codes: tuple[str, ...]
    asked_context: bool


@dataclass(frozen=True, slots=True)
class GuardCode:
    """What a code of Llama Guard means here."""

    category: str
    severity: int


@dataclass(frozen=True, slots=True)
class LanguageModelPolicy:
    """What a language model is asked, and what its answers mean here.

    Attributes:
        meanings: by category, what a model is told that it means; it is asked about no others.
        codes: of Llama Guard, such as ``S1``.
        unknown: what a code that is not in `codes` stands for; it is never nothing.
    """

    meanings: Mapping[str, str]
    codes: Mapping[str, GuardCode]
    unknown: GuardCode


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole table. `categories` is their order in verdicts and in deciding."""

    categories: tuple[str, ...]
    always_refused: frozenset[str]
    rows: Mapping[tuple[Level, Purpose], Row]
    language_model: LanguageModelPolicy

    def needs_every_judge(self, level: Level) -> bool:
        """Whether a judge that is set up and away is an error, at this level or a stricter one."""
        return any(row.needs_every_judge for row in self.rows.values() if row.level <= level)

    def decide(self, row: Row, hits: Iterable[Hit], signals: int) -> Decision:
        """Return the first category that blocks, in the policy's order.

        Args:
            row: of the text's level and purpose.
            hits: everything the checks found.
            signals: how many different signs of history or teaching the text has; 0 as well when
                something in it speaks against that.

        Raises Internal UNKNOWN_CATEGORY: what nobody decided about is not allowed by accident.
        """
        worst: dict[str, int] = {}
        for hit in hits:
            if hit.category not in row.rules:
                raise Internal("UNKNOWN_CATEGORY", "a check named a category the policy lacks")
            worst[hit.category] = max(worst.get(hit.category, 0), hit.severity)
        codes = tuple(category for category in self.categories if category in worst)
        blocking, asked = "", False
        for category in codes:
            rule = row.rules[category]
            outcome = rule.outcome_of(worst[category])
            asked = asked or outcome is Outcome.CONTEXT
            blocks = outcome is Outcome.BLOCK or (
                outcome is Outcome.CONTEXT and signals < rule.signals
            )
            blocking = blocking or (category if blocks else "")
        return Decision(blocking, codes, asked)


def is_laxer(rule: CategoryRule, other: CategoryRule) -> bool:
    """Whether `rule` lets something pass that `other` would not."""
    order = list(Outcome)
    for severity in range(1, MAX_SEVERITY + 1):
        mine, theirs = rule.outcome_of(severity), other.outcome_of(severity)
        if order.index(mine) < order.index(theirs):
            return True
        if mine is theirs is Outcome.CONTEXT and rule.signals < other.signals:
            return True
    return False
