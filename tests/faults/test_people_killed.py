"""Everything is killed while a run waits for a person; the answer finds the run all the same."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from tests.faults.orchestrator_world import World, orchestrator_world
from tests.support.eventually import eventually
from tests.support.history import check_root
from tests.support.history_record import FINAL

BODY = {
    "schema": "dada",
    "input_text": "Eine Blume",
    "output_configs": ["builtin_text"],
    "user_id": "anna",
    "seed": 7,
}


async def _start(world: World, **fields: Any) -> str:
    headers = {"Prefer": "respond-async", "Idempotency-Key": str(uuid.uuid4())}
    async with world.client() as http:
        answer = await http.post(
            "/api/schema/pipeline/execute", json=BODY | fields, headers=headers
        )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["run_id"])


def _entities(world: World, run_id: str, entity_type: str) -> list[dict[str, Any]]:
    try:
        entities = world.record(run_id)["entities"]
    except OSError:
        return []
    return [one for one in entities if one["type"] == entity_type]


async def _answer(world: World, run_id: str, **fields: Any) -> int:
    [question] = _entities(world, run_id, "question")
    body = {"question": question["sequence"], "user_id": "anna", **fields}
    async with world.client() as http:
        answer = await http.post(f"/api/runs/{run_id}/decisions", json=body)
    return answer.status_code


async def _ended(world: World, run_id: str) -> str:
    await eventually(lambda: world.record(run_id)["status"] in FINAL, 30.0, "the end")
    return str(world.record(run_id)["status"])


async def test_a_parked_run_outlives_everything_and_goes_on_as_its_person_says(
    tmp_path: Path,
) -> None:
    async with orchestrator_world(tmp_path, replicas=1, cut=False) as world:
        run_id = await _start(world, pause_before_render=True)
        await eventually(lambda: bool(_entities(world, run_id, "question")), 30.0, "a question")
        for name in ("orchestrator-1", "recorder"):
            await world.kill(name)
        for name in ("recorder", "orchestrator-1"):
            await world.start(name, wait=True)

        async def is_taken() -> bool:
            answered = await _answer(world, run_id, decision="edit", text="Ein Baum")
            assert answered in (200, 202, 503, 504), answered
            return answered in (200, 202)

        await eventually(is_taken, 30.0, "an answer that is taken")
        assert await _ended(world, run_id) == "succeeded"
        assert await _answer(world, run_id, decision="approve") == 409
        assert len(_entities(world, run_id, "question")) == 1
        assert len(_entities(world, run_id, "decision")) == 1
        assert len(_entities(world, run_id, "interception")) == 1

        # And another run goes on from it, with the text the person wrote.
        child = await _start(world, rerun={"run_id": run_id, "from_stage": 3})
        assert await _ended(world, child) == "succeeded"
        [text] = _entities(world, child, "interception")
        [decision] = _entities(world, run_id, "decision")
        source = f"runs/{run_id}/entities/{decision['sequence']}"
        assert text["metadata"]["copied_from"] == source
        [made] = _entities(world, child, "output_text")
        assert "Ein Baum" in (world.root / child / made["filename"]).read_text()
    assert check_root(world.root, must_be_final=True) == []
