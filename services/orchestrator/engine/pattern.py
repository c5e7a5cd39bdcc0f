r"""Regular expressions that take time in proportion to the text, whatever the pattern. Pure.

The usual engine tries one way after another, and a pattern like (a+)+b makes it try for years. Here
all ways are followed at once (K. Thompson, Programming Techniques: Regular expression search
algorithm, CACM 11/6, 1968). There are literals, ``.``, ``[…]``, ``\d \w \s`` and their opposites,
``( )``, ``(?: )``, ``|``, ``* + ? {m,n}``, ``^``, ``$`` and ``(?i)`` at the beginning; there are no
groups to refer to and no looking ahead, because neither can be done like this.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

MAX_PATTERN = 200
MAX_STATES = 500
MAX_TEXT = 20_000
# Steps that are kept once they are known; a pattern has few that matter.
_MAX_KNOWN_STEPS = 5_000
_COUNT = re.compile(r"\{(\d{1,3})(?:(,)(\d{1,3})?)?\}", re.ASCII)
_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\]", re.DOTALL)
_ESCAPES = set("dDwWsSntrf")

_START, _END = "^", "$"
_Test = Callable[[str], object]


class PatternError(ValueError):
    """A pattern that cannot be used; the message says why, for who wrote it."""


@dataclass
class _Machine:
    # State → states that may be entered without a character; with None if it needs one.
    free: list[list[int]] = field(default_factory=list)
    tests: list[tuple[_Test | str, int] | None] = field(default_factory=list)

    def state(self) -> int:
        if len(self.free) >= MAX_STATES:
            raise PatternError("the pattern is too large; count less in { }")
        self.free.append([])
        self.tests.append(None)
        return len(self.free) - 1


@dataclass(frozen=True)
class Pattern:
    """A pattern that was found to be good. Raises PatternError when it is made otherwise."""

    source: str

    def __post_init__(self) -> None:
        _ = self._compiled

    @cached_property
    def _compiled(self) -> tuple[_Machine, int, int]:
        return _Parser(self.source).parse()

    @cached_property
    def _known_steps(self) -> dict[tuple[frozenset[int], str], frozenset[int]]:
        return {}

    def found_in(self, text: str) -> bool:
        """Whether it is found anywhere in a text of at most MAX_TEXT characters."""
        machine, start, goal = self._compiled
        if len(text) > MAX_TEXT:
            raise ValueError(f"a text of more than {MAX_TEXT} characters")
        last = len(text)
        states = self._closure({start}, at_start=True, at_end=last == 0)
        for position, character in enumerate(text):
            if goal in states:
                return True
            at_end = position + 1 == last
            if at_end:
                entered = {start, *self._step(machine, states, character)}
                states = self._closure(entered, at_start=False, at_end=True)
                continue
            key = (states, character)
            following = self._known_steps.get(key)
            if following is None:
                entered = {start, *self._step(machine, states, character)}
                following = self._closure(entered, at_start=False, at_end=False)
                if len(self._known_steps) < _MAX_KNOWN_STEPS:
                    self._known_steps[key] = following
            states = following
        return goal in states

    @staticmethod
    def _step(machine: _Machine, states: frozenset[int], character: str) -> set[int]:
        entered = set()
        for state in states:
            way = machine.tests[state]
            if way is not None and not isinstance(way[0], str) and way[0](character):
                entered.add(way[1])
        return entered

    def _closure(self, states: set[int], *, at_start: bool, at_end: bool) -> frozenset[int]:
        machine = self._compiled[0]
        found, waiting = set(states), list(states)
        while waiting:
            state = waiting.pop()
            ways = list(machine.free[state])
            way = machine.tests[state]
            if way is not None and isinstance(way[0], str):
                if (way[0] == _START and at_start) or (way[0] == _END and at_end):
                    ways.append(way[1])
            for following in ways:
                if following not in found:
                    found.add(following)
                    waiting.append(following)
        return frozenset(found)


class _Parser:
    def __init__(self, source: str) -> None:
        if not source or len(source) > MAX_PATTERN:
            raise PatternError(f"a pattern has 1 to {MAX_PATTERN} characters")
        try:
            re.compile(source)
        except re.error as error:
            raise PatternError(f"no regular expression: {error}") from error
        self._flags = re.IGNORECASE if source.startswith("(?i)") else re.NOFLAG
        self._source = source[4:] if self._flags else source
        self._at = 0
        self._machine = _Machine()

    def parse(self) -> tuple[_Machine, int, int]:
        start, goal = self._either()
        if self._at < len(self._source):
            raise PatternError("a ) too many")
        return self._machine, start, goal

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _either(self) -> tuple[int, int]:
        start, goal = self._machine.state(), self._machine.state()
        while True:
            first, last = self._sequence()
            self._machine.free[start].append(first)
            self._machine.free[last].append(goal)
            if self._peek() != "|":
                return start, goal
            self._at += 1

    def _sequence(self) -> tuple[int, int]:
        start = last = self._machine.state()
        while self._peek() not in ("", "|", ")"):
            first, end = self._repeated()
            self._machine.free[last].append(first)
            last = end
        return start, last

    def _repeated(self) -> tuple[int, int]:
        begin = self._at
        piece = self._piece()
        after = self._at
        least, most = self._count()
        if self._peek() in ("*", "+", "?") or (
            self._peek() and _COUNT.match(self._source, self._at)
        ):
            raise PatternError("two counts in a row; write what is counted in ( )")
        if (least, most) == (1, 1):
            return piece
        resume = self._at
        start = last = self._machine.state()
        copies = max(least, 1) if most is None else most
        for number in range(1, copies + 1):
            # Each copy is read anew, which is simplest and costs what the copy itself costs.
            self._at = begin
            first, end = self._piece()
            assert self._at == after
            goal = self._machine.state()
            self._machine.free[last].append(first)
            self._machine.free[end].append(goal)
            if number > least:
                self._machine.free[last].append(goal)
            if most is None and number == copies:
                self._machine.free[goal].append(last)
            last = goal
        self._at = resume
        return start, last

    def _count(self) -> tuple[int, int | None]:
        sign = self._peek()
        if sign in ("*", "+", "?") and sign:
            self._at += 1
            bounds: tuple[int, int | None] = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        elif found := _COUNT.match(self._source, self._at):
            self._at = found.end()
            least = int(found[1])
            most = least if found[2] is None else None if found[3] is None else int(found[3])
            bounds = (least, most)
        else:
            return 1, 1
        if self._peek() == "?":
            # As few as possible: whether it is found does not depend on it.
            self._at += 1
        return bounds

    def _piece(self) -> tuple[int, int]:
        if self._peek() == "(":
            return self._group()
        found = _ATOM.match(self._source, self._at)
        if found is None:
            raise PatternError("a \\ at the end")
        atom = found[0]
        self._at = found.end()
        start, goal = self._machine.state(), self._machine.state()
        test: _Test | str
        if atom in (_START, _END):
            test = atom
        else:
            if atom[0] == "\\" and atom[1].isalnum() and atom[1] not in _ESCAPES:
                raise PatternError(f"{atom} cannot be used here")
            test = re.compile(atom, self._flags | re.DOTALL).fullmatch
        self._machine.tests[start] = (test, goal)
        return start, goal

    def _group(self) -> tuple[int, int]:
        self._at += 1
        if self._peek() == "?":
            if self._source[self._at : self._at + 2] != "?:":
                raise PatternError("of ( ) with ? there is only (?: ) and (?i) at the beginning")
            self._at += 2
        inner = self._either()
        if self._peek() != ")":
            raise PatternError("a ( without its )")
        self._at += 1
        return inner
