"""What a scripted gateway tells of a run, step by step; and `artlab run` against it."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.cli.scripted_gateway import (
    RUN_ID,
    ScriptedGateway,
    Step,
)
from tests.support.command import artlab

SAFE = json.dumps({"stage": 1, "decision": "safe", "rule": ""}).encode()


BLOCKED = json.dumps(
    {
        "stage": 1,
        "decision": "blocked",
        "rule": "kids.violence",
        "terms": ["secret-term"],
        "explanation": "Das ist zu gewaltsam.",
        "suggestion": "Beschreibe etwas Friedliches.",
    }
).encode()


def state(word: str) -> Step:
    return ("state_changed", {"state": word, "error": None})


def stage(number: int, step: str, output: int = 0) -> Step:
    data = {"stage": number, "step": step, "completed": 1, "expected": 6, "output_index": output}
    return ("stage_started", data)


def entity(sequence: int, kind: str, filename: str, size: int = 20, output: int = 0) -> Step:
    return (
        "entity_committed",
        {
            "sequence": sequence,
            "type": kind,
            "filename": filename,
            "media_type": "image/png" if filename.endswith("png") else "text/plain",
            "size_bytes": size,
            "output_index": output,
            "pass": 0,
            "url": f"/api/pipeline/{RUN_ID}/entities/{sequence}",
        },
    )


def delta(offset: int, text: str) -> Step:
    data = {"entity_type": "interception", "pass": 0, "offset": offset, "text": text}
    return ("text_delta", data)


def rendered(fraction: float) -> Step:
    return ("render_progress", {"output_index": 1, "phase": "executing", "fraction": fraction})


def finished(status: str, reason: str | None = None) -> Step:
    data = {"index": 1, "config": "builtin_image", "status": status, "reason": reason}
    return ("output_finished", data)


def document(status: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    rows = outputs or ({"index": 1, "config": "builtin_image", "status": status},)
    return {"run_id": RUN_ID, "status": status, "config_name": "dada", "outputs": list(rows)}


FACTS: tuple[Step, ...] = (
    state("pending"),
    state("running"),
    stage(1, "translation_and_safety"),
    entity(3, "safety", "03_safety.json"),
    stage(2, "interception"),
    entity(4, "interception", "04_interception.txt"),
    stage(4, "media_generation", 1),
    entity(6, "output_image", "06_output_image.png", 1_500_000, 1),
    finished("succeeded"),
    state("succeeded"),
)


def succeeding(*steps: Step) -> ScriptedGateway:
    entities = {3: SAFE, 4: b"Wiese Blume Wiese"}
    return ScriptedGateway(steps or FACTS, entities, document("succeeded"))


async def run(gateway: ScriptedGateway, *more: str, stdin: bytes = b"") -> Any:
    text = ("-",) if stdin else ("Eine Blume",)
    return await artlab("run", *text, "--config", "dada", "--url", gateway.url, *more, stdin=stdin)
