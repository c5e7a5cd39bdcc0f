"""`artlab demo`: one command, six processes, one folder that tells the whole story."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.server import fake_comfyui
from tests.support.command import Ended, artlab, artlab_process, line_with

FOLDER = [
    "01_input.txt",
    "02_translation.txt",
    "03_safety.json",
    "04_interception.txt",
    "05_safety_pre_output.json",
    "06_output_image.png",
    "07_safety_image.json",
    "metadata.json",
]


def folder_of(ended: Ended) -> Path:
    last = ended.out.splitlines()[-1]
    assert last.startswith("run_folder="), ended
    return Path(last.removeprefix("run_folder="))


def services_left(root: Path) -> list[str]:
    """Services that still run for this root, whoever is their parent now."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if "services." in command and process.environ().get("ARTLAB_RECORDER_ROOT") == str(
                root
            ):
                found.append(command)
        except psutil.Error:
            continue
    return found


async def demo(root: Path, text: str, *more: str, **settings: str) -> Ended:
    return await artlab(
        *("demo", text, "--config", "dada", "--root", str(root), *more),
        timeout_seconds=50,
        settings=settings,
    )


async def test_an_idea_becomes_a_folder_that_tells_the_whole_story(tmp_path: Path) -> None:
    ended = await demo(tmp_path, "Eine Blume auf der Wiese")
    assert ended.code == 0, ended
    folder = folder_of(ended)
    assert folder.parent == tmp_path
    assert sorted(os.listdir(folder)) == FOLDER
    assert (folder / "01_input.txt").read_text() == "Eine Blume auf der Wiese"
    with Image.open(folder / "06_output_image.png") as picture:
        picture.load()
        assert picture.size == (1024, 1024)
    for name in FOLDER:
        assert re.search(rf"[├└]── {re.escape(name)}  ", ended.out), name
    for stage in ("1  translation_and_safety", "2  interception", "4  media_generation"):
        assert f"stage {stage}" in ended.out
    verified = await artlab("verify", str(folder))
    assert verified.code == 0, verified
    assert "SHA-256 of 7 files" in verified.out
    with (folder / "04_interception.txt").open("ab") as changed:
        changed.write(b"!")
    verified = await artlab("verify", str(folder))
    assert verified.code == 1
    assert "04_interception.txt: " in verified.out
    assert services_left(tmp_path) == []


@pytest.mark.long
async def test_the_same_seed_makes_the_same_text_and_the_same_picture(tmp_path: Path) -> None:
    folders = [
        folder_of(await demo(tmp_path, "Ein Haus am See", "--seed", "7", "--quiet")) for _ in "12"
    ]
    for name in ("04_interception.txt", "06_output_image.png"):
        first, second = ((folder / name).read_bytes() for folder in folders)
        assert first == second, name


async def test_blocked_ends_with_three_and_nothing_reached_writer_or_renderer(
    tmp_path: Path,
) -> None:
    ended = await demo(
        tmp_path, "Ein Mann wird mit dem Messer ermordet", "--level", "kids", "--language", "de"
    )
    assert ended.code == 3, ended
    folder = folder_of(ended)
    assert "blocked at stage 1" in ended.out
    document = json.loads((folder / "metadata.json").read_text())
    assert document["status"] == "blocked"
    assert [entity["type"] for entity in document["entities"]] == [
        "input",
        "safety",
        "explanation",
    ]
    assert {model["task"] for model in document["models_used"]} <= {"safety"}
    assert (await artlab("verify", str(folder))).code == 0
    assert services_left(tmp_path) == []


async def test_ctrl_c_cancels_the_run_and_stops_everything(tmp_path: Path) -> None:
    async with (
        fake_comfyui(script=Script(hang_at="KSampler")) as comfy,
        artlab_process(
            *("demo", "Eine Blume", "--config", "dada", "--root", str(tmp_path)),
            settings={"ARTLAB_MEDIA_COMFYUI_URLS": comfy.url},
        ) as process,
    ):
        await line_with(process, "stage 4", 40)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            await process.communicate()
        assert process.returncode == 130
    [run_id] = [name for name in os.listdir(tmp_path) if not name.startswith(".")]
    document = json.loads((tmp_path / run_id / "metadata.json").read_text())
    assert document["status"] == "cancelled"
    assert services_left(tmp_path) == []


async def test_a_reader_that_leaves_neither_ends_the_run_nor_leaves_anything(
    tmp_path: Path,
) -> None:
    async with artlab_process(
        "demo", "Eine Blume", "--config", "dada", "--root", str(tmp_path)
    ) as process:
        await line_with(process, "starting")
        assert process.stdout is not None
        process.stdout._transport.close()  # type: ignore[attr-defined]  # as `| head -1` does
        async with asyncio.timeout(50):
            assert await process.wait() == 0
        assert process.stderr is not None
        assert await process.stderr.read() == b""
    assert services_left(tmp_path) == []


async def test_a_demo_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    ended = await demo(tmp_path, "Eine Blume", ARTLAB_SAFETY_LEVEL="lenient")
    assert ended.code == 1
    assert "safety ended with exit code 78" in ended.err
    assert services_left(tmp_path) == []
