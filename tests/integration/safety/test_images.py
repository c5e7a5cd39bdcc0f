"""Pictures and films through a real server: what is seen of them, and who says no."""

from __future__ import annotations

import logging
import struct

import numpy as np
import pytest
from PIL import Image

from artlab.safety.v1 import safety_pb2
from services.kit.errors import Unavailable
from services.safety.domain.image_policy import Sighting
from services.safety.domain.levels import ImagePurpose, Level
from services.safety.domain.verdict import ModelUsed
from services.safety.images.checker import ByteLimits, ImageToCheck
from services.safety.judge.nudenet import NudenetJudge
from services.safety.ports import ImageOpinion, Look
from tests.integration.safety.image_server import AsFile, AsFilm, check, serving
from tests.support.rpc import refused
from tests.unit.safety.images import (
    MagentaJudge,
    encoded,
    film,
    image_checker,
    magenta,
    meadow,
    moving,
    one_bad_frame,
    pieces_of,
)

PNG = encoded(meadow())
FILES: dict[str, AsFile] = {
    "png": lambda picture: (encoded(picture), "image/png"),
    "jpeg": lambda picture: (encoded(picture, "JPEG", quality=95), "image/jpeg"),
    "webp": lambda picture: (encoded(picture, "WEBP"), "image/webp"),
    "gif": lambda picture: (encoded(picture, "GIF"), "image/gif"),
    "palette": lambda picture: (encoded(picture.quantize(16)), "image/png"),
    "mp4": lambda picture: (film([picture] * 3), "video/mp4"),
    "webm": lambda picture: (film([picture] * 3, container="webm", codec="libvpx"), "video/webm"),
}


@pytest.mark.parametrize("kind", FILES)
async def test_a_harmless_picture_is_safe_and_a_bad_one_is_not(kind: str) -> None:
    async with serving() as stub:
        safe = await check(stub, *FILES[kind](meadow()))
        blocked = (await check(stub, *FILES[kind](magenta()))).verdict
    assert safe.verdict.decision == safety_pb2.DECISION_SAFE
    assert list(safe.verdict.checks) == ["magenta:1"]
    assert blocked.decision == safety_pb2.DECISION_BLOCKED
    assert blocked.rule == "kids.nudity"
    assert list(blocked.codes) == ["nudity"]
    assert (blocked.language, blocked.used.model) == ("de", "magenta:1")
    assert "Auf dem Bild" in blocked.explanation
    assert blocked.suggestion


MOVING: dict[str, AsFilm] = {
    "gif": lambda pictures: (moving(pictures, "GIF"), "image/gif"),
    "webp": lambda pictures: (moving(pictures, "WEBP"), "image/webp"),
    "apng": lambda pictures: (moving(pictures, "PNG"), "image/png"),
    "mp4": lambda pictures: (film(pictures), "video/mp4"),
    "webm": lambda pictures: (film(pictures, container="webm", codec="libvpx-vp9"), "video/webm"),
}


@pytest.mark.parametrize("kind", MOVING)
async def test_one_bad_frame_at_either_end_or_in_the_middle_is_found(kind: str) -> None:
    judge = MagentaJudge()
    async with serving(judge) as stub:
        for number, bad in enumerate((0, 12, 24), start=1):
            answer = await check(stub, *MOVING[kind](one_bad_frame(25, bad)))
            assert answer.verdict.decision == safety_pb2.DECISION_BLOCKED
            assert len(judge.looks) == 9 * number


async def test_a_film_is_seen_the_way_it_is_shown() -> None:
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    to_the_right = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    head, track, rest = film([meadow()] * 3).partition(b"tkhd")
    judge = MagentaJudge()
    async with serving(judge) as stub:
        turned = head + track + rest.replace(upright, to_the_right, 1)
        await check(stub, turned, "video/mp4")
    shown = judge.looks[0]
    assert (shown.width, shown.height) == (64, 96)
    row = shown.rgb[3 * 64 * 48 : 3 * 64 * 49]
    meadow_is_left, sky_is_right = row[1] > row[2], row[-1] > row[-2]
    assert (meadow_is_left, sky_is_right) == (True, True)


async def test_what_is_transparent_is_seen_on_white_and_on_black() -> None:
    for background, ink in (((255, 255, 255), (0, 0, 0)), ((0, 0, 0), (255, 255, 255))):
        judge = MagentaJudge()
        hidden = Image.new("RGBA", (40, 40), (*background, 0))
        hidden.paste((*ink, 255), (10, 10, 30, 30))
        async with serving(judge) as stub:
            await check(stub, encoded(hidden))
        seen = {look.rgb[3 * (20 * 40 + 20)] == look.rgb[0] for look in judge.looks}
        # On one of both it cannot be seen, on the other it can.
        assert seen == {True, False}


async def test_sixteen_bits_are_not_seen_as_white() -> None:
    judge = MagentaJudge()
    grey = np.full((40, 40), 0x4000, np.uint16)
    async with serving(judge) as stub:
        await check(stub, encoded(Image.fromarray(grey)))
    assert set(judge.looks[0].rgb) == {0x40}


async def test_a_long_picture_is_also_seen_in_squares() -> None:
    judge = MagentaJudge()
    wide = meadow((4000, 400))
    wide.paste(magenta((520, 400)), (1300, 0))
    async with serving(judge) as stub:
        await check(stub, encoded(wide))
    assert (judge.looks[0].width, judge.looks[0].height) == (768, 77)
    assert all(look.width == look.height for look in judge.looks[1:])
    assert len(judge.looks) == 14


async def test_a_picture_is_seen_the_way_it_is_shown() -> None:
    judge = MagentaJudge()
    lying = meadow((96, 64))
    exif = lying.getexif()
    exif[0x0112] = 6
    async with serving(judge) as stub:
        await check(stub, encoded(lying, "JPEG", exif=exif), "image/jpeg")
    assert (judge.looks[0].width, judge.looks[0].height) == (64, 96)


class BrokenJudge(MagentaJudge):
    """Fails with the second picture."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def judge(self, look: Look, level: Level) -> ImageOpinion:
        if self.looks:
            raise self._error
        return await super().judge(look, level)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (Unavailable("IMAGE_JUDGE_UNAVAILABLE", "away"), "UNAVAILABLE", "IMAGE_JUDGE_UNAVAILABLE"),
        (ValueError("what it saw"), "INTERNAL", "INTERNAL"),
    ],
)
async def test_a_judge_that_fails_at_one_frame_is_an_error_and_no_verdict(
    error: Exception, code: str, reason: str
) -> None:
    async with serving(BrokenJudge(error)) as stub:
        async with refused(code, reason) as seen:
            await check(stub, moving([meadow(shift=n) for n in range(5)]), "image/gif")
    assert "saw" not in seen.message


class SecondJudge(MagentaJudge):
    """A second one, as a vision model would be, with its own no."""

    name = "vision"
    version = "openai:second"

    async def judge(self, look: Look, level: Level) -> ImageOpinion:
        self.looks.append(look)
        sighting = Sighting("vision", "violence", 1 / 3)
        return ImageOpinion((sighting,), ModelUsed("openai", "second"), ("violence",))


async def test_any_no_is_a_no_and_what_is_refused_is_not_sent_on() -> None:
    second = SecondJudge()
    async with serving(MagentaJudge(), second) as stub:
        verdict = (await check(stub, PNG)).verdict
        assert (verdict.rule, verdict.used.model) == ("kids.violence", "second")
        assert list(verdict.checks) == ["magenta:1", "openai:second"]
        verdict = (await check(stub, encoded(magenta()))).verdict
        assert (verdict.rule, list(verdict.checks)) == ("kids.nudity", ["magenta:1"])
    assert len(second.looks) == 1


async def test_without_a_judge_the_policy_requires_there_is_no_verdict() -> None:
    async with serving(SecondJudge()) as stub:
        async with refused("FAILED_PRECONDITION", "IMAGE_JUDGE_MISSING"):
            await check(stub, PNG)


async def test_a_judge_that_cannot_be_loaded_is_told_at_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    judge = NudenetJudge(task="services.safety.judge.gone:load")
    async with image_checker(judge) as checker:
        await checker.load()
        asked = ImageToCheck(Level.KIDS, ImagePurpose.IMAGE, "", "image/png")
        with pytest.raises(Unavailable, match="IMAGE_JUDGE_UNAVAILABLE"):
            await checker.check(asked, pieces_of(PNG))
    (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "pictures will not be checked" in told.getMessage()
    assert "ModuleNotFoundError" in str(vars(told))


async def test_nothing_of_a_picture_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    comment = b"Quastenflosser"
    data = encoded(magenta(), "JPEG", quality=95, comment=comment)
    broken = encoded(meadow(), "JPEG")[:200] + comment
    async with serving() as stub:
        assert (await check(stub, data, "image/jpeg")).verdict.rule
        async with refused("INVALID_ARGUMENT"):
            await check(stub, broken, "image/jpeg")
    assert comment.decode() not in caplog.text
    assert "nudity" not in caplog.text


def test_limits_are_by_kind() -> None:
    limits = ByteLimits(picture_bytes=1, film_bytes=2)
    assert (limits.of("image/gif"), limits.of("video/webm")) == (1, 2)
