"""Personal data, found on this machine before a text goes anywhere. Pure, linear.

What says who or where a real person is: how to reach them, numbers that are theirs alone, where
they live and go to school, and the full names of people of the writer's own life. Persons of
stories and of history are none, nor are places: what tells them apart is written in
``configs/safety/personal.yaml``. Every pattern is bounded, so a long text costs no more than its
length times a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from services.safety.domain.normalize import visible
from services.safety.domain.personal.contact import accounts, emails, phones, spelled_numbers
from services.safety.domain.personal.numbers import card_numbers, ibans, identity_numbers
from services.safety.domain.personal.people import People
from services.safety.domain.personal.places import Places
from services.safety.domain.personal.words import words_of

# Changes whenever a pattern finds something else; the version of the words is a digest.
PATTERNS = "2"
_KINDS = (emails, phones, accounts, ibans, card_numbers, identity_numbers)


@dataclass(frozen=True, slots=True)
class PersonalData:
    """All that is looked for. `version` is of the patterns and the words."""

    people: People
    places: Places
    version: str

    def find(self, text: str) -> list[str]:
        """Return what looks like personal data, as it stands in the text, in order."""
        plain, origin = visible(text)
        words = words_of(plain)
        found = set(chain(self.people.names(plain, words), spelled_numbers(plain, words)))
        for kind in _KINDS:
            found.update(kind(plain))
        found.update(self.places.addresses(plain))
        found.update(self.people.schools(plain))
        return [text[origin[start] : origin[end - 1] + 1] for start, end in sorted(found)]
