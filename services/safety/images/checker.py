"""Judging one picture or film: received, decoded, looked at by every judge."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from services.kit.errors import ArtlabError, FailedPrecondition, InvalidArgument, PermissionDenied
from services.kit.log import facts
from services.safety.domain.image_policy import ImageDecision, ImageRow, Sighting
from services.safety.domain.levels import ImagePurpose, Level
from services.safety.domain.safety import Safety
from services.safety.domain.verdict import ModelUsed, Verdict
from services.safety.images.decoder import Decoder
from services.safety.images.media_types import FILMS, HEAD_BYTES, check_media_type
from services.safety.images.spool import Spool, Spools
from services.safety.judge_errors import judge_is_remote
from services.safety.ports import ImageJudge, ImageOpinion, Look

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImageToCheck:
    """What was said of the bytes before they came, parsed.

    `local_only`: they may reach no machine but one's own.
    """

    level: Level
    purpose: ImagePurpose
    language: str
    media_type: str
    local_only: bool = False


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    """The verdict, and whether the bytes may stay in the record."""

    verdict: Verdict
    keep_blocked: bool


@dataclass(frozen=True, slots=True)
class ByteLimits:
    """How large pictures and films may be."""

    picture_bytes: int
    film_bytes: int

    def of(self, media_type: str) -> int:
        """The limit of this type."""
        return self.film_bytes if media_type in FILMS else self.picture_bytes


class ImageChecker:
    """The use case behind CheckImage."""

    def __init__(
        self,
        safety: Safety,
        judges: Sequence[ImageJudge],
        level: Level,
        decoder: Decoder,
        spools: Spools,
        limits: ByteLimits,
    ) -> None:
        self.safety = safety
        self.judges = tuple(judges)
        self._level = level
        self._decoder = decoder
        self._spools = spools
        self._limits = limits

    async def load(self) -> None:
        """Have every judge ready; say in the log what is missing, and which levels that stops.

        The service goes on without: texts are judged, and pictures get errors, not verdicts.
        """
        for level in self.safety.images.check_levels:
            missing = self._missing(self.safety.images.rows[level])
            if missing and level <= self._level:
                log.error(
                    "no picture can be checked",
                    extra=facts(safety_level=level.label, missing_judges=list(missing)),
                )
        for judge in self.judges:
            try:
                await judge.load()
            except ArtlabError as error:
                log.error(
                    "image judge cannot be loaded; pictures will not be checked",
                    extra=facts(judge=judge.version, reason=error.reason, why=error.message),
                )
            else:
                log.info("image judge ready", extra=facts(judge=judge.version))

    async def check(self, request: ImageToCheck, pieces: AsyncIterator[bytes]) -> ImageVerdict:
        """Take in the bytes and return the verdict.

        What cannot be received, decoded or judged raises: there is no verdict then, and certainly
        no safe one. Raises PermissionDenied SAFETY_LEVEL_TOO_LAX, FailedPrecondition
        IMAGE_JUDGE_MISSING and SAFETY_JUDGE_REMOTE, InvalidArgument for the bytes, and what decoder
        and judges raise.
        """
        row = self._row(request.level)
        # To the end, because the place is also what bounds how many are judged at a time.
        async with self._spools.new(self._limits.of(request.media_type)) as spool:
            await _receive(spool, request.media_type, pieces)
            looks = await self._decoder.decode(spool, request.media_type)
            return await self._judge(request, row, looks)

    async def _judge(
        self, request: ImageToCheck, row: ImageRow, looks: Sequence[Look]
    ) -> ImageVerdict:
        sightings: list[Sighting] = []
        refused: list[str] = []
        used = ModelUsed("", "")
        decision = ImageDecision("", (), False)
        checks: list[str] = []
        for judge in self.judges:
            if request.local_only and judge.remote:
                # No level does without a judge of pictures that is set up.
                raise judge_is_remote(judge.version)
            opinions = await _opinions(judge, looks, request.level)
            sightings += (sighting for opinion in opinions for sighting in opinion.sightings)
            refused += (category for opinion in opinions for category in opinion.refused)
            checks.append(judge.version)
            used = opinions[-1].used
            decision = self.safety.images.decide(request.level, sightings, refused)
            if decision.category:
                # One no is enough, and what was refused here is not sent elsewhere.
                break
        return self._verdict(request, row, decision, checks, used)

    def _row(self, level: Level) -> ImageRow:
        if level > self._level:
            raise PermissionDenied(
                "SAFETY_LEVEL_TOO_LAX",
                f"this server's level is {self._level.label}; a request may only be stricter",
                field="level",
                metadata={"level": self._level.label},
            )
        row = self.safety.images.rows[level]
        missing = self._missing(row)
        if missing:
            raise FailedPrecondition(
                "IMAGE_JUDGE_MISSING", f"{', '.join(missing)} must judge pictures and is not set up"
            )
        return row

    def _missing(self, row: ImageRow) -> tuple[str, ...]:
        names = {judge.name for judge in self.judges}
        return tuple(name for name in row.required if name not in names)

    def _verdict(
        self,
        request: ImageToCheck,
        row: ImageRow,
        decision: ImageDecision,
        checks: Sequence[str],
        used: ModelUsed,
    ) -> ImageVerdict:
        told = self.safety.image_explanations
        language = told.language_for(request.language)
        blocked = bool(decision.category)
        why = told.of(language, request.level, decision.category) if blocked else None
        verdict = Verdict(
            blocked=blocked,
            rule=f"{row.level.label}.{decision.category}" if blocked else "",
            codes=decision.codes,
            checks=tuple(checks),
            terms=(),
            explanation=why.explanation if why else "",
            suggestion=why.suggestion if why else "",
            language=language,
            purpose=request.purpose,
            level=request.level,
            used=used,
            alternative=why.alternative(request.media_type) if why else "",
        )
        return ImageVerdict(verdict, blocked and decision.keep_blocked)


async def _opinions(judge: ImageJudge, looks: Sequence[Look], level: Level) -> list[ImageOpinion]:
    asked = [asyncio.ensure_future(judge.judge(look, level)) for look in looks]
    try:
        return await asyncio.gather(*asked)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _receive(spool: Spool, media_type: str, pieces: AsyncIterator[bytes]) -> None:
    known = False
    async for piece in pieces:
        await spool.append(piece)
        if not known and spool.size_bytes >= HEAD_BYTES:
            # Refused now, and not after two gigabytes of it.
            check_media_type(await asyncio.to_thread(spool.head), media_type)
            known = True
    if not spool.size_bytes:
        raise InvalidArgument("EMPTY_MEDIA", "not a byte of it came", field="data")
    check_media_type(await asyncio.to_thread(spool.head), media_type)
