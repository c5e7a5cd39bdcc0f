"""A driver dies after any one of its writes; the next one goes on, and nothing shows it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from services.kit.errors import FailedPrecondition, Internal
from services.orchestrator.domain.run import Kind, Level, OutputOffer, Purpose, Verdict
from tests.fakes.peers import FakeSafety
from tests.support.driven_run import (
    DADA,
    REQUEST,
    RUN,
    SCRIPT,
    Driven,
    Fuse,
    Killed,
    RecordingMedia,
    driven,
)
from tests.support.pictures import picture_of

CHECKED: frozenset[Level] = frozenset({"kids", "youth"})
VERBOTEN = picture_of(b"verboten")


@dataclass
class BrokenSafety(FakeSafety):
    """Gives no answer about some texts, however often it is asked."""

    broken: tuple[str, ...] = ()

    async def check_text(
        self,
        text: str,
        level: Level,
        purpose: Purpose,
        language: str,
        kind: Kind | None = None,
        *,
        local_only: bool,
    ) -> Verdict:
        if text in self.broken:
            raise Internal("SAFETY_PROTOCOL", "no decision")
        return await super().check_text(text, level, purpose, language, kind, local_only=local_only)


def image(*names: str, kind: Kind = "image") -> tuple[OutputOffer, ...]:
    return tuple(OutputOffer(name, kind, available=True) for name in names)


@dataclass
class Case:
    """What is special about a run, and how it ends."""

    state: str
    fields: Callable[[], dict[str, Any]] = dict
    prepare: Callable[[Driven], None] = field(default=lambda _: None)

    def open(self, path: Path) -> AbstractAsyncContextManager[Driven]:
        return driven(path, **self.fields())


def _writes(text: Callable[[str, str, int], str]) -> Callable[[Driven], None]:
    def prepare(run: Driven) -> None:
        run.interception.write = text

    return prepare


def _refuses(config: str, text: str, number: int) -> str:
    raise FailedPrecondition("LLM_EMPTY_OUTPUT", "the model gave no text")


def _several() -> dict[str, Any]:
    names = ("a", "b", "c", "d", "a")
    media = RecordingMedia(
        files={"b": (VERBOTEN,), "d": (picture_of(b"1"), picture_of(b"2"))},
        failing={"c": FailedPrecondition("COMFY_EXECUTION", "a node", metadata={"node": "7"})},
    )
    return {
        "request": replace(REQUEST, output_configs=names),
        "offers": image("a", "b", "c", "d"),
        "media": media,
        "safety": FakeSafety(image_check_levels=CHECKED),
    }


CASES = {
    "a success": Case("succeeded", lambda: {"safety": FakeSafety(image_check_levels=CHECKED)}),
    "an input that is blocked": Case(
        "blocked", lambda: {"request": replace(REQUEST, input_text="verboten")}
    ),
    "a translation that is blocked": Case(
        "blocked",
        prepare=lambda run: setattr(run.interception, "translate", lambda _: "verboten indeed"),
    ),
    "rules that are blocked": Case(
        "blocked", lambda: {"request": replace(REQUEST, context="verboten")}
    ),
    "a pass that is blocked": Case(
        "blocked",
        lambda: {"recipe": replace(DADA, passes=4, translates_input=False)},
        _writes(lambda _, text, number: text + (" verboten" if number == 2 else "+")),
    ),
    "a prompt that is blocked": Case("blocked", prepare=_writes(lambda *_: "verboten")),
    "a picture that is blocked": Case(
        "blocked",
        lambda: {
            "media": RecordingMedia(files={"builtin_image": (picture_of(b"x"), VERBOTEN)}),
            "safety": FakeSafety(image_check_levels=CHECKED),
        },
    ),
    "a picture that is blocked and kept": Case(
        "blocked",
        lambda: {
            "media": RecordingMedia(files={"builtin_image": (VERBOTEN,)}),
            "safety": FakeSafety(image_check_levels=CHECKED, keep_blocked=True),
        },
    ),
    "a check that cannot be made": Case(
        "failed",
        lambda: {
            "request": replace(REQUEST, context="nur Dreiecke"),
            "safety": BrokenSafety(broken=("nur Dreiecke",)),
        },
    ),
    "a recipe that fails": Case("failed", prepare=_writes(_refuses)),
    "a renderer that fails": Case(
        "failed",
        lambda: {
            "media": RecordingMedia(failing={"builtin_image": Internal("COMFY_LOST", "gone")})
        },
    ),
    "a renderer that is not there": Case(
        "failed",
        lambda: {
            "media": RecordingMedia(
                failing={"builtin_image": FailedPrecondition("OUTPUT_NOT_AVAILABLE", "no node")}
            )
        },
    ),
    "a recursive recipe": Case("succeeded", lambda: {"recipe": replace(DADA, passes=5)}),
    "a recipe whose last pass takes all": Case(
        "succeeded",
        lambda: {"recipe": replace(DADA, passes=3, takes=("previous", "original", "all"))},
    ),
    "a recipe that gives all": Case(
        "succeeded",
        lambda: {
            "recipe": replace(DADA, passes=2, takes=("original", "original"), result="all"),
        },
    ),
    "a recipe of somebody here": Case(
        "blocked",
        lambda: {"recipe": replace(DADA, is_local=True, sha256="1f")},
        lambda run: setattr(run.interception, "texts", ("friedlich", "verboten")),
    ),
    "prompts for their media": Case(
        "succeeded",
        lambda: {
            "request": replace(REQUEST, output_configs=("a", "b")),
            "offers": (*image("a"), OutputOffer("b", "image", True, prompt_style="tags")),
        },
    ),
    "a prompt for a medium that is blocked": Case(
        "blocked",
        lambda: {"offers": (OutputOffer("a", "image", True, prompt_style="verboten"),)},
    ),
    "several outputs": Case("partial", _several),
    "several outputs at once": Case(
        "partial", lambda: {**_several(), "services": {"outputs_at_once": 3}}
    ),
    "a sketch": Case(
        "succeeded",
        lambda: {
            "offers": image("sketch", kind="code"),
            "request": replace(REQUEST, output_configs=("sketch",)),
            "media": RecordingMedia(files={"sketch": (SCRIPT,)}),
        },
    ),
    "a sketch that is blocked": Case(
        "blocked",
        lambda: {
            "offers": image("sketch", kind="code"),
            "request": replace(REQUEST, output_configs=("sketch",)),
            "media": RecordingMedia(files={"sketch": (SCRIPT + b"text('verboten')",)}),
        },
    ),
    "input images": Case(
        "succeeded",
        lambda: {
            "offers": (OutputOffer("morph", "image", available=True, image_slots=("a", "b")),),
            "request": replace(REQUEST, output_configs=("morph",), input_images=2),
            "pictures": (picture_of(b"one"), picture_of(b"two")),
            "safety": FakeSafety(image_check_levels=CHECKED),
            "services": {"input_image_look_seconds": 0.05},
        },
    ),
    "an input image that is blocked": Case(
        "blocked",
        lambda: {
            "offers": (OutputOffer("morph", "image", available=True, image_slots=("a", "b")),),
            "request": replace(REQUEST, output_configs=("morph",), input_images=2),
            "pictures": (picture_of(b"one"), VERBOTEN),
            "safety": FakeSafety(image_check_levels=CHECKED),
            "services": {"input_image_look_seconds": 0.05},
        },
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_a_run_ends_the_same_wherever_its_driver_died(case: Case, tmp_path: Path) -> None:
    async with case.open(tmp_path) as whole:
        case.prepare(whole)
        fuse = Fuse()
        await whole.drive(fuse)
        expected = await whole.folder()
    assert expected["state"] == case.state
    for cut in range(1, fuse.writes):
        async with case.open(tmp_path) as run:
            case.prepare(run)
            with suppress(Killed):
                await run.drive(Fuse(after=cut))
            there = await run.folder()
            before = asked_of(run)
            # Several outputs at once may need a write more or less.
            if there["state"] in ("pending", "running"):
                await run.drive()
            assert tellable(await run.folder()) == tellable(expected), f"after write {cut}"
            again = asked_of(run) - before
            assert again & settled_by(there, run) == Counter(), f"after write {cut}"
            assert max(Counter(run.media.executions).values(), default=0) <= 1


# Where something is done on the way out, or several things are at once.
HANDED_OVER = (
    "a success",
    "a picture that is blocked",
    "several outputs at once",
    "input images",
)


@pytest.mark.parametrize("case", [CASES[name] for name in HANDED_OVER], ids=HANDED_OVER)
async def test_a_run_that_is_handed_over_at_any_moment_ends_the_same(
    case: Case, tmp_path: Path
) -> None:
    async with case.open(tmp_path) as whole:
        case.prepare(whole)
        fuse = Fuse()
        await whole.drive(fuse)
        expected = await whole.folder()
    for cut in range(1, fuse.writes):
        async with case.open(tmp_path) as run:
            case.prepare(run)
            with suppress(Killed):
                await run.drive(Fuse(after=cut, kills=False))
            if not (await run.recorder.get_run(RUN)).is_final:
                await run.drive()
            assert tellable(await run.folder()) == tellable(expected), f"after write {cut}"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_a_run_ends_the_same_when_every_driver_dies_after_one_write(
    case: Case, tmp_path: Path
) -> None:
    async with case.open(tmp_path) as whole:
        case.prepare(whole)
        await whole.drive()
        expected = await whole.folder()
    async with case.open(tmp_path) as run:
        case.prepare(run)
        while not (await run.recorder.get_run(RUN)).is_final:
            assert run.drivers < 100
            # Saying again where a run stands, or making an end again, is a write that brings it no
            # further.
            with suppress(Killed):
                await run.drive(Fuse(after=4))
        assert tellable(await run.folder()) == tellable(expected)


def tellable(folder: dict[str, Any]) -> dict[str, Any]:
    """What may be compared: several things at once have no order, pictures' metadata their own."""
    entities = Counter(
        (kind, stage, output, number, models, NUMBERED.sub("", data or ""))
        for kind, stage, output, number, _, models, data in folder["entities"]
    )
    return {**folder, "entities": {str(key): count for key, count in entities.items()}}


# Which entity a verdict is about: their numbers follow the order they were recorded in.
NUMBERED = re.compile(r'"entity": [0-9]+')
Asked = tuple[str, str]
STAGE_1 = ("check input", "check context", "check translation")


def asked_of(run: Driven) -> Counter[Asked]:
    """What the peers were asked so far."""
    asked: Counter[Asked] = Counter()
    asked.update(
        (f"write {config}", str(number)) for config, _, _, number in run.interception.asked
    )
    asked.update((f"check {purpose}", text) for purpose, text in run.safety.asked)
    asked.update((f"look {purpose}", str(hash(data))) for purpose, _, data in run.safety.looked_at)
    asked.update(("make", str(job.output.index)) for job in run.media.jobs)
    return asked


def settled_by(folder: dict[str, Any], run: Driven) -> Counter[Asked]:
    """What nobody may be asked again, because its entity exists."""
    settled = set[Asked]()
    types = Counter(one[0] for one in folder["entities"])
    for kind, stage, output, number, metadata, _, _ in folder["entities"]:
        match kind:
            case "safety" if stage == 1 and not isinstance(run.safety, BrokenSafety):
                # What a recipe of somebody here says is asked about in stage 2.
                of_recipe = {("check context", text) for text in run.interception.texts}
                settled |= {one for one in asked_of(run) if one[0] in STAGE_1} - of_recipe
            case "translation":
                settled.add(("write translation_en", "1"))
            case "interception_pass":
                settled.add(("write dada", str(number)))
            case "interception":
                settled |= {one for one in asked_of(run) if one[0] == "write dada"}
            case "safety_pre_output" if types[kind] == len(folder["outputs"]):
                settled |= {one for one in asked_of(run) if one[0] == "check media_prompt"}
            case "output_image" | "output_code" if is_whole(folder, output, dict(metadata)):
                settled.add(("make", str(output)))
            case "safety_image" if stage == 4 and len(folder["outputs"]) == 1:
                settled |= {one for one in asked_of(run) if one[0] == "look image"}
            case "safety_output":
                settled |= {one for one in asked_of(run) if one[0] == "check code"}
            case "error":
                settled |= set(asked_of(run)) if not output else {("make", str(output))}
    return Counter(dict.fromkeys(settled, 99))


def is_whole(folder: dict[str, Any], output: int, metadata: dict[str, str]) -> bool:
    kinds = [one[0] for one in folder["entities"] if one[2] == output]
    made = sum(1 for kind in kinds if kind.startswith("output_"))
    return made >= int(metadata.get("files", "1"))
