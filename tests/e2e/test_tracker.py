"""Runs through all six services, as a researcher finds them in the two tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from services.kit.ids import RunId
from services.recorder.domain.execution import RunExecution, execution_of
from services.recorder.store.codec import decode_run
from services.recorder.store.layout import tracker_file
from services.recorder.tracker.choice import tracker_of
from services.recorder.tracker.ports import EVERY_RUN
from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.server import fake_comfyui
from tests.support.client import client_of, start_run
from tests.support.eventually import eventually
from tests.support.postgres import database
from tests.support.processes import six_services

OPEN = ("pending", "running")


async def state_of(http: httpx.AsyncClient, run_id: str) -> str:
    return str((await http.get(f"/api/pipeline/{run_id}/status")).json()["status"])


async def ended(http: httpx.AsyncClient, run_id: str) -> str:
    async def is_over() -> bool:
        return await state_of(http, run_id) not in OPEN

    await eventually(is_over, 30, "the end of the run")
    return await state_of(http, run_id)


def recorded(root: Path) -> dict[RunId, RunExecution]:
    """What the folders say."""
    found = {}
    for path in root.glob("*/metadata.json"):
        run = decode_run(path.read_bytes(), RunId(path.parent.name))
        found[run.run_id] = execution_of(run)
    return found


async def caught_up(root: Path, setting: str) -> None:
    def agree() -> bool:
        tracker = tracker_of(setting, tracker_file(root))
        assert tracker is not None
        tracker.open((root / ".store_id").read_text().strip())
        try:
            rows = {one.run_id: one for one in tracker.newest(EVERY_RUN, 100)}
        finally:
            tracker.close()
        return rows == recorded(root)

    await eventually(agree, 20, "the tracker has caught up")


def steps(rows: Sequence[Sequence[Any]], run_id: str) -> list[tuple[Any, ...]]:
    """The steps of a run as they went, output by output: these are made side by side."""
    found = [tuple(row[1:]) for row in rows if row[0] == run_id]
    return sorted(found, key=lambda row: row[1])


STEPS = (
    "SELECT run_id, stage, output_index, pass, status, error FROM step_executions"
    " ORDER BY run_id, number"
)


async def test_every_kind_of_run_is_in_the_tables_as_it_went(tmp_path: Path) -> None:
    async with (
        fake_comfyui(script=Script(hang_at="KSampler")) as comfy,
        six_services(tmp_path, ARTLAB_MEDIA_COMFYUI_URLS=comfy.url) as running,
        client_of(running) as http,
    ):
        made = await start_run(http, output_configs=["builtin_image", "builtin_text"])
        passes = await start_run(http, schema="stillepost", output_configs=["builtin_text"])
        blocked = await start_run(
            http, input_text="Ein Mann wird mit dem Messer ermordet", safety_level="kids"
        )
        cancelled = await start_run(http, output_configs=["builtin_text", "sd35_large"])
        await eventually(lambda: bool(comfy.executions), 30, "the job at the backend")

        async def has_its_text() -> bool:
            document = (await http.get(f"/api/pipeline/{cancelled}/status")).json()
            return bool(document["outputs"][0]["status"] == "succeeded")

        # Outputs are made beside one another: the first may still be at work.
        await eventually(has_its_text, 30, "the first output")
        await http.post(f"/api/pipeline/{cancelled}/cancel")
        outcomes = [await ended(http, one) for one in (made, passes, blocked, cancelled)]
        assert outcomes == ["succeeded", "succeeded", "blocked", "cancelled"]
        cut = await start_run(http, output_configs=["builtin_text", "sd35_large"])
        await eventually(lambda: len(comfy.executions) > 1, 30, "the job at the backend")
        await running.kill("orchestrator")
        await running.start("orchestrator")
        comfy.script.hang_at = None
        assert await ended(http, cut) == "succeeded"
        await caught_up(running.root, "sqlite")
        with closing(sqlite3.connect(tracker_file(running.root))) as connection:
            rows = connection.execute(STEPS).fetchall()
            runs = connection.execute(
                "SELECT run_id, status, error, json_array_length(outputs),"
                " execution_time_ms >= 0 FROM run_executions"
            ).fetchall()
    well = ("succeeded", None)
    text = [(1, 0, 0, *well), (2, 0, 0, *well)]
    first = [(3, 1, 0, *well), (4, 1, 0, *well)]
    # The picture is made, and then looked at.
    seen = [*first, (4, 1, 0, *well)]
    assert steps(rows, made) == [*text, *seen, (3, 2, 0, *well), (4, 2, 0, *well)]
    assert steps(rows, passes) == [*text, *[(2, 0, n, *well) for n in range(1, 9)], *first]
    assert steps(rows, blocked) == [(1, 0, 0, "blocked", "SAFETY_BLOCKED")]
    assert steps(rows, cancelled) == [*text, *first, (3, 2, 0, *well), (4, 2, 0, "cancelled", None)]
    # Whoever went on repeated nothing.
    assert steps(rows, cut)[:4] == [*text, *first]
    assert {row[-2:] for row in steps(rows, cut)} == {well}, steps(rows, cut)
    assert set(runs) == {
        (made, "succeeded", None, 2, 1),
        (passes, "succeeded", None, 1, 1),
        (blocked, "blocked", "SAFETY_BLOCKED", 0, 1),
        (cancelled, "cancelled", None, 1, 1),
        (cut, "succeeded", None, 2, 1),
    }


@pytest.mark.long
async def test_a_postgresql_address_is_all_it_takes(tmp_path: Path) -> None:
    with database() as url:
        async with (
            six_services(tmp_path, ARTLAB_RECORDER_TRACKER=url) as running,
            client_of(running) as http,
        ):
            run_id = await start_run(http, output_configs=["builtin_text"])
            assert await ended(http, run_id) == "succeeded"
            await caught_up(running.root, url)
            assert not tracker_file(running.root).exists()
        with psycopg.connect(url) as connection:
            rows = connection.execute(STEPS).fetchall()
            entities = connection.execute(
                "SELECT jsonb_array_elements_text(outputs) FROM run_executions"
            ).fetchall()
    assert [row[4] for row in rows] == ["succeeded"] * 4
    assert entities == [(f"runs/{run_id}/entities/6",)]
