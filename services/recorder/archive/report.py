"""A run as a page for people: needs nothing else, may be printed, runs no script."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from services.recorder.archive.source import RunSource, recorded_bytes
from services.recorder.domain.content import MAX_JSON_BYTES
from services.recorder.domain.entity import Entity
from services.recorder.domain.media_type import JSON
from services.recorder.domain.story import Said, tell
from services.recorder.domain.views import RunView

MAX_SHOWN_CHARACTERS = 20_000
MAX_PICTURE_BYTES = 8 * 1024 * 1024
MAX_SOUND_BYTES = 2 * 1024 * 1024
# Of one page; base64 makes a third more of it.
MAX_EMBEDDED_BYTES = 32 * 1024 * 1024
_EMBEDDED = {"image": MAX_PICTURE_BYTES, "audio": MAX_SOUND_BYTES, "video": MAX_SOUND_BYTES}
_LANGUAGE = re.compile(r"[a-z]{2,3}", re.ASCII)
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def render_report(store: RunSource, seen: RunView, checksum: str, *, embed: bool) -> bytes:
    """Return the page for this audience; `checksum` is metadata.json's.

    With `embed` media are in the page, which is some 50 MiB at most, as far as there is room;
    otherwise it shows the files beside it. Raises NotFound RUN_NOT_FOUND; DataLoss ENTITY_CORRUPT
    for what would be on the page.
    """
    run = seen.whole
    texts: dict[int, Said] = {}
    documents: dict[int, Mapping[str, Any]] = {}
    media: dict[int, str] = {}
    room = MAX_EMBEDDED_BYTES
    for entity in seen.present:
        kind = entity.media_type.partition("/")[0]
        if entity.media_type == JSON:
            documents[entity.sequence] = _document(store, seen, entity)
        elif kind == "text":
            texts[entity.sequence] = _text(store, seen, entity)
        elif not embed:
            media[entity.sequence] = entity.filename
        elif entity.size_bytes <= min(_EMBEDDED[kind], room):
            room -= entity.size_bytes
            data = b"".join(recorded_bytes(store, run.run_id, entity))
            media[entity.sequence] = (
                f"data:{entity.media_type};base64,{base64.b64encode(data).decode()}"
            )
    page = _template().render(
        story=tell(seen, texts, documents),
        run=run,
        seen=seen,
        checksum=checksum,
        media=media,
        media_source="data:" if embed else "'self' file:",
    )
    # Half of a surrogate pair cannot be stored, but what a model reported might hold one.
    return page.encode("utf-8", "replace")


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "size": _size,
        "moment": _moment,
        "duration": _duration,
        "language": _language,
        "words": _words,
    }
    return environment.get_template("report.html.j2")


def _document(store: RunSource, seen: RunView, entity: Entity) -> Mapping[str, Any]:
    if entity.size_bytes > MAX_JSON_BYTES:
        return {}
    data = b"".join(recorded_bytes(store, seen.whole.run_id, entity))
    try:
        found = orjson.loads(data)
    except ValueError:  # its digest is right, so it was recorded like this
        return {}
    return found if isinstance(found, dict) else {}


def _text(store: RunSource, seen: RunView, entity: Entity) -> Said:
    head = bytearray()
    for data in recorded_bytes(store, seen.whole.run_id, entity):
        # Four bytes at most make a character.
        head += data[: 4 * MAX_SHOWN_CHARACTERS - len(head)]
    text = head.decode("utf-8", "ignore")
    shown = text[:MAX_SHOWN_CHARACTERS]
    return Said(shown, len(shown.encode()) < entity.size_bytes)


def _size(size_bytes: int) -> str:
    size, unit = float(size_bytes), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size_bytes} B" if not unit else f"{size:.1f} {_UNITS[unit]}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(milliseconds: float) -> str:
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _language(name: str) -> str:
    """A value for the attribute `lang`; empty, which means unknown, for anything else."""
    return name if _LANGUAGE.fullmatch(name) else ""


def _words(name: str) -> str:
    return name.replace("_", " ")
