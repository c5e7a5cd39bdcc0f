"""The report of a run: everything that happened is on it, for those who may see it."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import wave
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import pytest_asyncio

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.recorder.domain.story import TITLES
from services.recorder.domain.vocabulary import EntityType
from tests.integration.recorder.archives import IDEA, TEXT, export, finished_run, png, unzipped
from tests.integration.recorder.harness import World, entity, stream, world_of

HTML = pb.EXPORT_FORMAT_HTML
HOSTILE = (
    "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{7*7}}{% raw %}&amp;\u202e"
)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of("grpc", tmp_path / "runs") as opened:
        yield opened


class Page(HTMLParser):
    """The elements and words of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._is_style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._is_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._is_style = False

    def handle_data(self, data: str) -> None:
        if not self._is_style:
            self.words += data


async def page_of(
    world: World, name: str, audience: run_pb2.Audience.ValueType = run_pb2.AUDIENCE_RESEARCH
) -> Page:
    return Page((await export(world, name, format=HTML, audience=audience)).decode())


async def hostile_run(world: World) -> str:
    """A run in which every text that is not ours is an attack."""
    name = await world.create()
    for number, kind in enumerate(("input", "context", "translation", "interception")):
        metadata = {"from_language": HOSTILE[:40], "to_language": "x" * 50, "seed": "<b>7"}
        await world.record(
            f"{name}/uploads/{number}", HOSTILE.encode(), entity(kind, metadata=metadata)
        )
    told = {
        "decision": "blocked",
        "language": '"><b>',
        "explanation": HOSTILE,
        "suggestion": HOSTILE,
        "verdicts": [
            {"purpose": HOSTILE, "checks": [HOSTILE], "rule": HOSTILE, "terms": [HOSTILE, 7]},
            "not an object",
        ],
    }
    for kind in ("safety", "explanation"):
        await world.record(f"{name}/uploads/{kind}", json.dumps(told).encode(), entity(kind))
    error = {"type": HOSTILE, "message": HOSTILE}
    await world.record(f"{name}/uploads/error", json.dumps(error).encode(), entity("error"))
    await world.finalize(name, run_pb2.RUN_STATE_BLOCKED)
    return name


def test_every_type_of_entity_has_a_title() -> None:
    assert set(TITLES) == set(EntityType)


async def test_nothing_that_people_or_models_wrote_becomes_markup(world: World) -> None:
    name = await hostile_run(world)
    plain = await page_of(world, await finished_run(world))
    page = await page_of(world, name)
    tags = {tag for tag, _ in page.elements}
    assert tags <= {tag for tag, _ in plain.elements} | {"blockquote"}
    assert "script" not in tags
    assert not [name for _, attributes in page.elements for name in attributes if name[:2] == "on"]
    assert page.words.count("{{7*7}}") >= 8
    assert page.words.count("seed <b>7") == 4  # not that of the run
    languages = {attributes.get("lang") for _, attributes in page.elements} - {None}
    assert languages == {"en", ""}


async def test_it_tells_the_run_from_the_idea_to_the_picture(world: World) -> None:
    name = await finished_run(world)
    page = await page_of(world, name)
    run = await world.get(name)
    told = [IDEA, TEXT, "Checked the text for the output with word lists: safe", "Seed7"]
    places = [page.words.index(words) for words in told]
    assert places == sorted(places)
    for word in ("dada", "youth", "pseudonym-1", "builtin · painter/1", "succeeded"):
        assert word in page.words
    assert "seed 7" not in page.words  # that of the run is told once
    for one in run.entities:
        assert one.digest.sha256 in page.words
    assert [
        attributes["lang"]
        for tag, attributes in page.elements
        if tag == "div" and "lang" in attributes
    ]


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (run_pb2.RUN_STATE_BLOCKED, "A safety check said no."),
        (run_pb2.RUN_STATE_FAILED, "It failed for a technical reason."),
        (run_pb2.RUN_STATE_CANCELLED, "Somebody asked to stop."),
    ],
)
async def test_it_says_why_nothing_was_made(
    world: World, state: run_pb2.RunState.ValueType, told: str
) -> None:
    name = await world.create()
    await world.finalize(name, state)
    page = await page_of(world, name)
    assert told in page.words
    assert ("SOME_REASON" in page.words) is (state != run_pb2.RUN_STATE_CANCELLED)


async def test_a_student_reads_why_not_and_none_of_the_evidence(world: World) -> None:
    name = await world.create()
    verdict = {
        "decision": "blocked",
        "verdicts": [{"purpose": "input", "terms": ["evidence"], "checks": ["wordlist:1"]}],
    }
    why = {"decision": "blocked", "explanation": "Das geht hier nicht.", "suggestion": "Anders."}
    await world.record(f"{name}/uploads/a", b"eine Idee", entity("input", audience=1))
    await world.record(
        f"{name}/uploads/b", json.dumps(verdict).encode(), entity("safety", stage=1, audience=3)
    )
    await world.record(
        f"{name}/uploads/c", json.dumps(why).encode(), entity("explanation", stage=1, audience=1)
    )
    await world.finalize(name, run_pb2.RUN_STATE_BLOCKED)
    student = await page_of(world, name, run_pb2.AUDIENCE_STUDENT)
    assert "Das geht hier nicht." in student.words
    assert "eine Idee" in student.words
    assert "evidence" not in student.words
    assert "evidence" in (await page_of(world, name)).words


@pytest.mark.parametrize("is_recorded", [True, False])
async def test_what_is_there_is_not_called_not_made(world: World, *, is_recorded: bool) -> None:
    name = await world.create()
    if is_recorded:
        picture = entity("output_image", stage=4, output_index=1)
        await world.record(f"{name}/uploads/a", png("red"), picture)
    await world.finalize(name, run_pb2.RUN_STATE_FAILED)
    words = (await page_of(world, name)).words
    assert ("Recorded, but not finished" in words) is is_recorded
    assert ("Not made" in words) is not is_recorded


async def test_every_check_is_told_as_what_it_is(world: World) -> None:
    name = await world.create()
    checks = ["wordlist:1", "context:2", "personal_data:3", "judge:builtin:4"]
    checks += ["judge:openai:llama", "new:1"]
    verdict = {"decision": "safe", "verdicts": [{"purpose": "input", "checks": checks}]}
    await world.record(f"{name}/uploads/a", json.dumps(verdict).encode(), entity("safety"))
    await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    told = (await page_of(world, name)).words
    assert (
        "with word lists, what the text is about, patterns of personal data, rules about words"
        " together, a judging model and new:1" in told
    )


async def test_checks_of_pictures_and_what_helps_are_told_in_plain_words(world: World) -> None:
    name = await world.create()
    looked = [
        {"purpose": "input_image", "decision": "safe", "checks": ["nudenet:3.4.2"]},
        {"purpose": "image", "decision": "safe", "checks": ["nudenet:3.4.2", "openai:llava"]},
    ]
    verdict = {"decision": "safe", "verdicts": looked}
    error = {"type": "COMFY_OOM", "message": "no", "details": {"advice": "use a smaller size"}}
    await world.record(f"{name}/uploads/a", json.dumps(verdict).encode(), entity("safety_image"))
    await world.record(f"{name}/uploads/b", json.dumps(error).encode(), entity("error", stage=4))
    await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    told = (await page_of(world, name)).words
    assert "Checked the picture that was sent along with a detector of nudity: safe." in told
    assert "with a detector of nudity and a model that looks at pictures: safe." in told
    assert "What helps: use a smaller size." in told


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (
            {"fallback_from": "mine (COMFY_LOST)"},
            "Another output took over from mine (COMFY_LOST).",
        ),
        ({"reused_from": "runs/r/entities/5"}, "Not made anew: it is that of runs/r/entities/5."),
        ({"late": "true"}, "It came after its time was over."),
    ],
)
async def test_an_output_that_was_not_simply_made_says_so(
    world: World, metadata: dict[str, str], told: str
) -> None:
    name = await world.create()
    made = entity("output_image", stage=4, output_index=1, metadata=metadata)
    await world.record(f"{name}/uploads/a", png("red"), made)
    await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    assert told in (await page_of(world, name)).words


def a_sound(samples: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(44_100)
        sound.writeframes(bytes(samples))
    return buffer.getvalue()


async def test_large_media_are_named_and_long_texts_are_cut(world: World) -> None:
    name = await world.create()
    long_text = "ä" * 30_000
    await world.record(f"{name}/uploads/a", long_text.encode(), entity("interception"))
    sound = a_sound(3_000_000)
    upload = stream(f"{name}/uploads/b", sound, chunk=256 * 1024, of=entity("output_audio"))
    await world.write(upload)
    await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    page = await page_of(world, name)
    assert "audio/wav, 2.9 MiB: too large for this page. SHA-256" in page.words
    assert page.words.count("ä") == 20_000
    assert "Cut here; the whole text has 58.6 KiB." in page.words


async def test_in_an_archive_it_shows_the_files_beside_it(world: World) -> None:
    name = await finished_run(world)
    files = unzipped(await export(world, name))
    report = next(data for path, data in files.items() if path.endswith("report.html"))
    sources = [
        attributes["src"] for tag, attributes in Page(report.decode()).elements if tag == "img"
    ]
    assert sources == ["04_output_image.png"]


chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="needs chromium (Debian: apt install chromium)"
)


async def printed(page: Path) -> bytes:
    """The page as a PDF, printed by a browser of its own."""
    pdf = page.with_suffix(".pdf")
    process = await asyncio.create_subprocess_exec(
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-pdf-header-footer",
        f"--user-data-dir={page.parent / 'profile'}",
        f"--print-to-pdf={pdf}",
        page.as_uri(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(50):
        assert await process.wait() == 0
    return pdf.read_bytes()


@chromium
async def test_a_browser_prints_it_with_its_picture(world: World, tmp_path: Path) -> None:
    name = await finished_run(world, picture=png("orange", 64))
    page = tmp_path / "report.html"
    page.write_bytes(await export(world, name, format=HTML))
    pdf = await printed(page)
    assert pdf.startswith(b"%PDF-")
    assert re.search(rb"/Subtype\s*/Image", pdf)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) >= 2
