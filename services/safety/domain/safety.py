"""Everything the service judges by, as one value. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.safety.domain.explanations import Explanations
from services.safety.domain.image_policy import ImagePolicy
from services.safety.domain.personal import PersonalData
from services.safety.domain.policy import Policy
from services.safety.domain.reader import Reader
from services.safety.domain.rules import RuleBook
from services.safety.domain.wordlist import Wordlist


@dataclass(frozen=True, slots=True)
class ListFacts:
    """How many terms and rules there are for a language.

    `version` is the digest over its files, 8 hex characters.
    """

    language: str
    terms: int
    rules: int
    version: str


@dataclass(frozen=True, slots=True)
class Safety:
    """The policy in force with its lists, rules and explanations, and who reads texts for them.

    `version` is the digest over all their files and tables, 8 hex characters.
    """

    policy: Policy
    reader: Reader
    wordlist: Wordlist
    rules: RuleBook
    personal: PersonalData
    explanations: Explanations
    images: ImagePolicy
    image_explanations: Explanations
    version: str
    lists: tuple[ListFacts, ...] = ()
