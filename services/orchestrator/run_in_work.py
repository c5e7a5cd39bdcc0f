"""One run while it is driven: its plan, its peers, its journal, and how it asks for a verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.run import ImageVerdict, Kind, Purpose, Verdict
from services.orchestrator.hints import HintSender
from services.orchestrator.journal import Journal
from services.orchestrator.patience import look_may_recover, patiently, peer_may_recover
from services.orchestrator.ports import Interception, Media, Reading, Recorder, Safety

T = TypeVar("T")
MayPass = Callable[[ArtlabError], bool]


@dataclass(frozen=True, slots=True)
class Services:
    """The peers of the orchestrator, and how long a run waits for one that is away."""

    recorder: Recorder
    safety: Safety
    interception: Interception
    media: Media
    patience_seconds: float = 30.0
    recorder_patience_seconds: float = 60.0
    # How long a run waits for the pictures its person was to bring.
    input_image_seconds: float = 300.0


class Blocked(Exception):
    """A check said no before stage 3; carries where and the verdict."""

    def __init__(self, stage: int, verdict: Verdict) -> None:
        super().__init__(stage, verdict.rule)
        self.stage = stage
        self.verdict = verdict


@dataclass(slots=True)
class RunInWork:
    """What the stages of one run share."""

    plan: Plan
    services: Services
    hints: HintSender
    clock: Clock
    journal: Journal = field(init=False)
    # Of what the person wrote, BCP 47; told by the request or found in stage 1.
    language: str = field(init=False)

    def __post_init__(self) -> None:
        self.language = self.plan.request.language
        self.journal = Journal(
            self.plan,
            self.services.recorder,
            self.clock,
            self.services.recorder_patience_seconds,
        )

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
        if not self.language:
            self.language = await self.steady(
                lambda: self.services.interception.detect_language(self.plan.request.input_text)
            )

    async def verdict(self, purpose: Purpose, text: str, kind: Kind | None = None) -> Verdict:
        """Have a text judged at the run's level."""
        verdict, attempt = await self.counted(
            lambda: self.services.safety.check_text(
                text, self.plan.level, purpose, self.language, kind
            )
        )
        return replace(verdict, attempt=attempt)

    async def image_verdict(self, purpose: Purpose, media_type: str, read: Reading) -> ImageVerdict:
        """Have a picture or film judged at the run's level."""
        found, attempt = await self.counted(
            lambda: self.services.safety.check_image(
                self.plan.level, purpose, self.language, media_type, read
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
