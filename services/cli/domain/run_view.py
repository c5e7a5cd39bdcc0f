"""What is known of a run while its events arrive. Pure: no terminal, no connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FINAL_STATES = frozenset({"succeeded", "partial", "blocked", "failed", "cancelled"})
# Asked for, not sent: where a run stands in line.
QUEUE = "queue"
# Durable and numbered; everything else is a hint.
FACTS = frozenset(
    {
        "state_changed",
        "stage_started",
        "entity_committed",
        "output_finished",
        "warning",
        "entity_erased",
    }
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a run; facts have a seq from 1, hints have None."""

    kind: str
    data: Mapping[str, object]
    seq: int | None = None

    def text(self, key: str) -> str:
        """The value as text; empty when there is none."""
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        """The value as a whole number; 0 when there is none."""
        value = self.data.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    def fraction(self, key: str) -> float:
        """The value between 0.0 and 1.0; 0.0 when there is none."""
        value = self.data.get(key)
        return min(max(float(value), 0.0), 1.0) if isinstance(value, int | float) else 0.0

    def seconds(self, key: str) -> float | None:
        """The value as seconds; None when there is none."""
        value = self.data.get(key)
        return float(value) if isinstance(value, int | float) else None

    def mapping(self, key: str) -> Mapping[str, object]:
        """The value as a mapping; empty when there is none."""
        value = self.data.get(key)
        return value if isinstance(value, Mapping) else {}


@dataclass(slots=True)
class OutputView:
    """One requested output."""

    index: int
    config: str = ""
    status: str = "pending"
    reason: str = ""
    phase: str = ""
    fraction: float = 0.0
    queue_position: int = 0
    remaining_seconds: float | None = None


@dataclass(slots=True)
class GrowingText:
    """A text while it is written. After a gap it stops growing and waits for the entity."""

    text: str = ""
    gap: bool = False

    def add(self, offset: int, piece: str) -> None:
        """Take a delta in; offset counts the characters before it."""
        if offset == 0:
            self.text, self.gap = piece, False
        elif offset == len(self.text) and not self.gap:
            self.text += piece
        elif offset > len(self.text):
            self.gap = True


@dataclass(slots=True)
class RunView:
    """The state of one run as its events tell it."""

    state: str = "pending"
    error: Mapping[str, object] = field(default_factory=dict)
    stage: int = 0
    step: str = ""
    steps_seen: list[tuple[int, str]] = field(default_factory=list)
    completed: int = 0
    expected: int = 0
    growing: GrowingText = field(default_factory=GrowingText)
    growing_type: str = ""
    growing_pass: int = 0
    written: set[tuple[str, int]] = field(default_factory=set)
    outputs: dict[int, OutputView] = field(default_factory=dict)
    # Sequences of questions nobody has answered yet.
    open_questions: set[int] = field(default_factory=set)
    # Runs that come before it while it has not begun, and seconds until its turn.
    ahead: int = 0
    # Where the text that is written now stands in the line before its model; 0 when it is its turn.
    writing_position: int = 0
    wait_seconds: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether it is in work, or was."""
        return self.state != "pending" or bool(self.step)

    @property
    def final(self) -> bool:
        """Whether the run has ended."""
        return self.state in FINAL_STATES

    def output(self, index: int) -> OutputView:
        """The output with this index, known or new."""
        return self.outputs.setdefault(index, OutputView(index))

    def apply(self, event: Event) -> None:
        """Take one event in. Kinds nobody knows yet change nothing."""
        take = getattr(self, f"_{event.kind}", None) if event.kind in _KINDS else None
        if take is not None:
            take(event)

    def _state_changed(self, event: Event) -> None:
        self.state = event.text("state") or self.state
        self.error = event.mapping("error")

    def _stage_started(self, event: Event) -> None:
        self.stage, self.step = event.number("stage"), event.text("step")
        self.completed = max(self.completed, event.number("completed"))
        self.expected = max(self.expected, event.number("expected"))
        if (self.stage, self.step) not in self.steps_seen:
            self.steps_seen.append((self.stage, self.step))
        if index := event.number("output_index"):
            self._begin(self.output(index))

    def _begin(self, output: OutputView) -> None:
        if output.status == "pending":
            output.status = "running"

    def _entity_committed(self, event: Event) -> None:
        self.completed = max(self.completed, event.number("sequence"))
        self.written.add((event.text("type"), event.number("pass")))
        if event.text("type") == self.growing_type:
            self.growing = GrowingText()
        if event.text("type") == "question":
            self.open_questions.add(event.number("sequence"))
        elif event.text("type") == "decision":
            # Metadata are texts.
            answered = str(event.mapping("metadata").get("question", ""))
            self.open_questions = {n for n in self.open_questions if str(n) != answered}

    def _output_finished(self, event: Event) -> None:
        output = self.output(event.number("index"))
        output.config = event.text("config")
        output.status = event.text("status")
        reason = event.data.get("reason")
        output.reason = reason if isinstance(reason, str) else ""
        if output.status == "succeeded":
            output.fraction = 1.0

    def _text_delta(self, event: Event) -> None:
        self.writing_position = 0
        kind, number = event.text("entity_type"), event.number("pass")
        if (kind, number) in self.written:
            return  # a hint that came after the fact
        if (kind, number) != (self.growing_type, self.growing_pass):
            self.growing_type, self.growing_pass = kind, number
            self.growing = GrowingText()
        self.growing.add(event.number("offset"), event.text("text"))

    def _writing_position(self, event: Event) -> None:
        self.writing_position = event.number("position")

    def _queue(self, event: Event) -> None:
        self.ahead = event.number("position")
        self.wait_seconds = event.seconds("estimated_wait_seconds")

    def _render_progress(self, event: Event) -> None:
        output = self.output(event.number("output_index"))
        if output.status not in ("pending", "running"):
            # Hints go another way than facts, and may come after the end that they are about.
            return
        self._begin(output)
        output.phase = event.text("phase")
        output.fraction = event.fraction("fraction")
        output.queue_position = event.number("queue_position")
        output.remaining_seconds = event.seconds("remaining_seconds")


_KINDS = FACTS | {"text_delta", "writing_position", "render_progress", QUEUE}
