"""`artlab export` and `artlab import` as people call them, without any server."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
import pytest_asyncio

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc
from services.kit.interceptors import Context
from tests.faults.recorder_process import free_port
from tests.integration.recorder.archives import finished_run, png, run_folders
from tests.integration.recorder.harness import world_of
from tests.support.command import Ended, artlab, artlab_process
from tests.support.eventually import eventually
from tests.support.servers import serving


@pytest_asyncio.fixture
async def names(tmp_path: Path) -> list[str]:
    """Two runs of dada and one of bauhaus, with nobody serving them."""
    async with world_of("grpc", tmp_path / "runs") as world:
        return [
            await finished_run(world, picture=png("red")),
            await finished_run(world, picture=png("blue")),
            await finished_run(world, config_name="bauhaus", idea="Ein Haus aus Glas"),
        ]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def call(tmp_path: Path, *arguments: str) -> Ended:
    settings = {"ARTLAB_RECORDER_PORT": str(free_port()), "ARTLAB_RECORDER_TRACKER": "none"}
    return await artlab(*arguments, cwd=tmp_path, settings=settings)


async def test_a_stranger_takes_runs_from_one_folder_to_another(
    tmp_path: Path, names: list[str]
) -> None:
    ended = await call(tmp_path, "export", "--all", "-o", "all.zip", "--root", "runs")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("all.zip: 3 runs, ")
    ended = await call(tmp_path, "import", "all.zip", "--root", "elsewhere")
    assert (ended.code, ended.err) == (0, "")
    assert sorted(ended.out.splitlines()[:3]) == sorted(f"imported {name}" for name in names)
    assert ended.out.splitlines()[3] == "3 imported, 0 were here already"
    assert run_folders(tmp_path / "elsewhere") == run_folders(tmp_path / "runs")
    ended = await call(tmp_path, "import", "all.zip", "--root", "elsewhere")
    assert (ended.code, ended.out) == (0, "0 imported, 3 were here already\n")


async def test_runs_are_chosen_by_id_folder_or_options(tmp_path: Path, names: list[str]) -> None:
    by_id, by_folder = names[0].removeprefix("runs/"), names[1]
    ended = await call(tmp_path, "export", by_id, by_folder, "-o", "two.jsonl", "--root", "runs")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("two.jsonl: 2 runs, ")
    lines = (tmp_path / "two.jsonl").read_text().splitlines()
    assert [f"runs/{json.loads(line)['run_id']}" for line in lines] == names[:2]
    for options in (
        ["--config", "bauhaus"],
        ["--text", "glas"],
        ["--to", "2030-01-01", "--config", "bauhaus"],
    ):
        ended = await call(
            tmp_path, "export", *options, "--force", "-o", "x.jsonl", "--root", "runs"
        )
        assert ended.code == 0, ended.err
        found = [
            json.loads(line)["run_id"] for line in (tmp_path / "x.jsonl").read_text().splitlines()
        ]
        assert found == [names[2].removeprefix("runs/")]
    ended = await call(tmp_path, "export", "--to", "1999-12-31", "-o", "y.zip", "--root", "runs")
    assert (ended.code, ended.err) == (1, "artlab: NO_RUNS: no final run fits\n")
    assert not (tmp_path / "y.zip").exists()


async def test_the_ending_of_the_file_says_what_kind(tmp_path: Path, names: list[str]) -> None:
    ended = await call(tmp_path, "export", names[0], "-o", "page.html", "--root", "runs")
    assert ended.code == 0, ended.err
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    ended = await call(tmp_path, "export", names[0], "-o", "archive", "--root", "runs")
    assert ended.code == 0, ended.err
    assert (tmp_path / "archive").read_bytes().startswith(b"PK")


async def test_a_file_that_exists_is_replaced_only_by_force(
    tmp_path: Path, names: list[str]
) -> None:
    (tmp_path / "mine.zip").write_text("mine")
    ended = await call(tmp_path, "export", "--all", "-o", "mine.zip", "--root", "runs")
    assert ended.code == 2
    assert "mine.zip exists; --force replaces it" in ended.err
    assert (tmp_path / "mine.zip").read_text() == "mine"
    ended = await call(tmp_path, "export", "--all", "-o", "mine.zip", "--root", "runs", "--force")
    assert ended.code == 0


async def test_damaged_runs_are_left_out_and_named(tmp_path: Path, names: list[str]) -> None:
    picture = next((tmp_path / names[0]).glob("*.png"))
    picture.write_bytes(png("black"))
    ended = await call(tmp_path, "export", "--all", "-o", "all.zip", "--root", "runs")
    assert ended.code == 1
    assert ended.out.startswith("all.zip: 2 runs, ")
    assert ended.err.startswith(f"artlab: left out: ENTITY_CORRUPT: {picture.parent.name}/")
    ended = await call(tmp_path, "export", names[0], "-o", "one.zip", "--root", "runs")
    assert ended.code == 1
    assert ended.err.startswith("artlab: ENTITY_CORRUPT: ")
    assert names_in(tmp_path) == ["all.zip", "runs"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("export", "-o", "x.zip"), "or take --all"),
        (("export", "--all", "../etc", "-o", "x.zip"), "expected the id of a run"),
        (("export", "--all", "--from", "spring", "-o", "x.zip"), "expected a date"),
        (("export", "--all", "--recorder", "here", "-o", "x.zip"), "expected an address"),
        (("export", "--all", "--recorder", "h:1", "--root", ".", "-o", "x.zip"), "choose one"),
        (("export", "--all", "-o", "x.pdf"), "by --format: zip, jsonl, html"),
        (("import", "none.zip"), "does not exist"),
    ],
)
async def test_a_wrong_call_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    ended = await call(tmp_path, *arguments)
    assert ended.code == 2
    assert told in ended.err


async def test_a_file_that_is_no_export_is_refused_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("not a ZIP file at all, just words")
    ended = await call(tmp_path, "import", "x.zip", "--root", "new")
    assert ended.code == 1
    assert ended.err.startswith("artlab: ARCHIVE_INVALID (data): not a ZIP file")


async def test_a_root_that_cannot_be_made_is_told(tmp_path: Path, names: list[str]) -> None:
    await call(tmp_path, "export", "--all", "-o", "all.zip", "--root", "runs")
    ended = await call(tmp_path, "import", "all.zip", "--root", "no/where")
    where = tmp_path / "no" / "where"
    assert (ended.code, ended.err) == (
        1,
        f"artlab: {where} is no folder, and none can be made there\n",
    )


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, names: list[str]) -> None:
    ended = await call(tmp_path, "export", "--all", "-o", "no/where.zip", "--root", "runs")
    assert (ended.code, ended.err) == (
        1,
        "artlab: cannot write no/where.zip: No such file or directory\n",
    )


class NeverDone(recorder_pb2_grpc.RecorderServiceServicer):
    """A recorder whose exports begin and do not end."""

    async def ExportRuns(
        self, request: pb.ExportRunsRequest, context: Context
    ) -> AsyncIterator[pb.ExportRunsResponse]:
        yield pb.ExportRunsResponse(data=bytes(200_000))
        await asyncio.Event().wait()


async def test_interrupted_it_leaves_nothing_behind(tmp_path: Path) -> None:
    def register(server: grpc.aio.Server) -> None:
        recorder_pb2_grpc.add_RecorderServiceServicer_to_server(NeverDone(), server)  # type: ignore[abstract]

    async with serving("recorder", register) as target:
        arguments = ("export", "--all", "-o", "x.zip", "--recorder", target)
        async with artlab_process(*arguments, cwd=tmp_path) as process:
            await eventually(lambda: names_in(tmp_path) != [], 20)
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(20):
                assert await process.wait() == 130
    assert names_in(tmp_path) == []
