"""`artlab check-image`: what the image check says of a file, without any service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.domain.exit_codes import BLOCKED, FAILED
from services.cli.domain.printable import printable
from services.kit.errors import ArtlabError, InvalidArgument
from services.kit.settings import load_settings

if TYPE_CHECKING:
    from services.safety.images.checker import ImageVerdict

LEVELS = ("kids", "youth", "adult", "research")
MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
CHUNK_BYTES = 256 * 1024


@click.command("check-image", short_help="What does the image check say of a picture or film?")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--level", type=click.Choice(LEVELS), help="Safety level. Default: ARTLAB_SAFETY_LEVEL."
)
@click.option("--language", default="en", help="Language of the explanation. Default: en.")
def check_image(file: Path, level: str | None, language: str) -> None:
    """Check a picture or film as the safety service does, by its policy and settings.

    Needs no running service. Exit code 0 if it may be shown, 3 if it is blocked, 1 if it could not
    be checked.
    """
    try:
        found = asyncio.run(_check(file, level, language))
    except ArtlabError as error:
        click.echo(printable(f"{file}: not checked: {error}"), err=True)
        raise SystemExit(FAILED) from error
    verdict = found.verdict
    told = f"blocked by {verdict.rule}" if verdict.blocked else "safe"
    click.echo(printable(f"{file}: {told} at {verdict.level.label}, {', '.join(verdict.checks)}"))
    if verdict.blocked:
        click.echo(printable(verdict.explanation))
        click.echo(printable(verdict.suggestion))
        raise SystemExit(BLOCKED)


async def _check(file: Path, level: str | None, language: str) -> ImageVerdict:
    # Only here: the other commands start without the libraries of the services.
    from services.safety.__main__ import compose_images
    from services.safety.catalogue import load_safety
    from services.safety.domain.levels import LEVELS_BY_LABEL, ImagePurpose
    from services.safety.images.checker import ImageToCheck
    from services.safety.settings import SafetySettings

    settings = load_settings("safety", SafetySettings)
    asked = level or settings.level
    if file.suffix.lower() not in MEDIA_TYPES:
        raise InvalidArgument("MEDIA_TYPE_NOT_ALLOWED", f"one of {', '.join(MEDIA_TYPES)}")
    request = ImageToCheck(
        LEVELS_BY_LABEL[asked], ImagePurpose.IMAGE, language, MEDIA_TYPES[file.suffix.lower()]
    )
    # A laxer level than the server's is a service's refusal, not that of somebody who tries out.
    settings = settings.model_copy(update={"level": asked})
    safety = load_safety(settings.configs / "safety")
    async with AsyncExitStack() as stack:
        checker = compose_images(settings, safety, stack)
        return await checker.check(request, _pieces(file))


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as source:
        while data := await asyncio.to_thread(source.read, CHUNK_BYTES):
            yield data
