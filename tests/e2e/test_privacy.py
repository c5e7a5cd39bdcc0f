"""What a person typed is in the run folder and nowhere else."""

from __future__ import annotations

from pathlib import Path

from tests.support.client import client_of
from tests.support.processes import six_services

NAME = "Zebulon Quastenflosser"


async def test_no_log_holds_a_word_of_what_was_typed(tmp_path: Path) -> None:
    bodies = [
        {"schema": "dada", "input_text": NAME},
        {"schema": "stillepost", "input_text": NAME},
        {"schema": "user_defined", "input_text": "Blume", "context": NAME},
        {"schema": "dada", "input_text": f"{NAME} Hakenkreuz", "safety_level": "kids"},
        {"schema": "dada", "input_text": NAME, "output_configs": ["sd35_large"]},
        {"schema": "dada", "input_text": NAME, NAME: 1},
        {"schema": NAME, "input_text": NAME},
        {"schema": "dada", "input_text": NAME + "\x00"},
    ]
    levels = {f"ARTLAB_{name}_LOG_LEVEL": "DEBUG" for name in ("SAFETY", "MEDIA", "RECORDER")}
    answers = []
    async with six_services(tmp_path, **levels) as running, client_of(running) as http:
        for body in bodies:
            answer = await http.post("/api/schema/pipeline/execute", json=body)
            answers.append(answer)
        await http.get(f"/api/pipeline/{NAME}/status")
        logs = {name: running.log(name) for name in running.pids}
    assert [answer.status_code for answer in answers] == [200] * 5 + [422] * 3
    for answer in answers[5:]:
        assert "Zebulon" not in answer.text
    for name, log in logs.items():
        assert log, name
        assert "Zebulon" not in log, name
        assert "Quastenflosser" not in log, name
