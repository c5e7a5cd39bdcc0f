"""One run while it is driven: its plan, its peers, its journal, and how it asks for a verdict."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.run import ImageVerdict, Kind, Purpose, RecordedRun, Verdict
from services.orchestrator.engine.step import StepBlocked
from services.orchestrator.hints import HintSender
from services.orchestrator.journal import Journal
from services.orchestrator.patience import look_may_recover, patiently, peer_may_recover
from services.orchestrator.ports import Interception, Media, Reading, Recorder, Safety
from services.orchestrator.record import Record

T = TypeVar("T")
MayPass = Callable[[ArtlabError], bool]


@dataclass(frozen=True, slots=True)
class Services:
    """The peers of the orchestrator, and how long a run waits for one that is away.

    Attributes:
        input_image_seconds: how long a run waits for the pictures its person was to bring.
        input_image_look_seconds: how often it looks whether one came to another process.
        outputs_at_once: of one run, where its pipeline does not say.
        output_places: held by every output in work, of all runs; None for no such limit.
        late_grace_seconds: how long an output whose time was over is waited for, at most, before
            what came too late is looked for.
        others: what else steps may ask for by name, as who embeds the orchestrator gives it.
    """

    recorder: Recorder
    safety: Safety
    interception: Interception
    media: Media
    patience_seconds: float = 30.0
    recorder_patience_seconds: float = 60.0
    input_image_seconds: float = 300.0
    input_image_look_seconds: float = 1.0
    outputs_at_once: int = 1
    output_places: asyncio.Semaphore | None = None
    late_grace_seconds: float = 0.0
    others: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parked:
    """A run waits for a person; it is to be gone on with after so many seconds at the latest."""

    seconds: float


class Blocked(StepBlocked):
    """A check said no; carries where and the verdict."""

    def __init__(self, stage: int, verdict: Verdict) -> None:
        rule = verdict.rule or "blocked"
        super().__init__(rule, stage, {"decision": "blocked", "rule": rule})
        self.verdict = verdict


@dataclass(slots=True)
class RunInWork:
    """What the steps of one run share.

    Attributes:
        services: with the recorder as the driver's epoch sees it.
        recorded: the run as it stood when driving began; None for a new one.
        epoch: of the driver's claim, for the jobs of media; 0 is not fenced.
        awaited: questions that steps wait with, as they found them: without an answer; each with
            the moment, of the clock's monotonic time, when it is decided without one.
    """

    plan: Plan
    services: Services
    hints: HintSender
    clock: Clock
    recorded: RecordedRun | None = None
    epoch: int = 0
    awaited: dict[int, float] = field(init=False, default_factory=dict)
    journal: Journal = field(init=False)
    # Of what the person wrote, BCP 47; told by the request or found when it is first needed.
    language: str = field(init=False)
    # SHA-256 of texts that were judged safe for a model.
    _checked: set[str] = field(init=False, default_factory=set)
    _asking_language: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.language = self.plan.request.language
        self.journal = Journal(
            self.plan,
            self.services.recorder,
            self.clock,
            self.services.recorder_patience_seconds,
            self.recorded,
        )

    @property
    def record(self) -> Record:
        """What is recorded of it, as far as is known here."""
        return self.journal.record

    def is_checked(self, text: str) -> bool:
        """Whether this very text was judged safe for a model, now or by an earlier driver."""
        return digest_of(text) in self._checked

    def mark_checked(self, *texts: str) -> None:
        """Say that each of these texts was judged safe for a model."""
        self._checked.update(digest_of(text) for text in texts)

    async def steady(
        self, call: Callable[[], Awaitable[T]], may_pass: MayPass = peer_may_recover
    ) -> T:
        """Make an idempotent call, and again while its service is away or full for a moment."""
        return await patiently(call, self.services.patience_seconds, self.clock, may_pass)

    async def counted(
        self, call: Callable[[], Awaitable[T]], may_pass: MayPass = peer_may_recover
    ) -> tuple[T, int]:
        """Like `steady`; also return which attempt, from 1, was the one that was answered."""
        attempts = 0

        async def once() -> T:
            nonlocal attempts
            attempts += 1
            return await call()

        return await self.steady(once, may_pass), attempts

    async def know_language(self) -> None:
        """Find out what language the person writes, unless the request told."""
        if self.language:
            return
        async with self._asking_language:
            self.language = self.language or await self.steady(
                lambda: self.services.interception.detect_language(self.plan.request.input_text)
            )

    async def verdict(self, purpose: Purpose, text: str, kind: Kind | None = None) -> Verdict:
        """Have a text judged at the run's level."""
        await self.know_language()
        verdict, attempt = await self.counted(
            lambda: self.services.safety.check_text(
                text,
                self.plan.level,
                purpose,
                self.language,
                kind,
                local_only=self.plan.recipe.local_only,
            )
        )
        return replace(verdict, attempt=attempt)

    async def image_verdict(self, purpose: Purpose, media_type: str, read: Reading) -> ImageVerdict:
        """Have a picture or film judged at the run's level."""
        await self.know_language()
        found, attempt = await self.counted(
            lambda: self.services.safety.check_image(
                self.plan.level,
                purpose,
                self.language,
                media_type,
                read,
                local_only=self.plan.recipe.local_only,
            ),
            look_may_recover,
        )
        return replace(found, verdict=replace(found.verdict, attempt=attempt))

    async def check(self, stage: int, verdicts: list[Verdict], purpose: Purpose, text: str) -> None:
        """Have a text judged and keep the verdict. Raises Blocked for a no."""
        verdict = await self.verdict(purpose, text)
        verdicts.append(verdict)
        if not verdict.safe:
            raise Blocked(stage, verdict)


def digest_of(text: str) -> str:
    """SHA-256 of a text, in hex, as the recorder tells it of its file."""
    return hashlib.sha256(text.encode()).hexdigest()
