"""Log lines are JSON, carry the run, and say nothing of a foreign exception but where it was."""

from __future__ import annotations

import json
import logging
import sys

from services.kit.log import JsonFormatter, facts, run_logged


def _line(message: str, *, error: Exception | None = None, **values: object) -> dict[str, object]:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, message, (), None)
    record.__dict__.update(facts(**values))
    if error is not None:
        try:
            raise error
        except type(error):
            record.exc_info = sys.exc_info()
    line: dict[str, object] = json.loads(JsonFormatter("media").format(record))
    return line


def test_a_line_has_its_facts_and_its_run() -> None:
    with run_logged("528e5af9-59b3-4551-b101-27e13dd6e43e"):
        line = _line("committed", sequence=3)
    assert line["event"] == "committed"
    assert line["service"] == "media"
    assert line["sequence"] == 3
    assert line["run_id"] == "528e5af9-59b3-4551-b101-27e13dd6e43e"


def test_a_fact_never_changes_what_the_line_says_of_itself() -> None:
    line = _line("judged", level="kids", event="x")
    assert (line["level"], line["fact_level"]) == ("INFO", "kids")
    assert (line["event"], line["fact_event"]) == ("judged", "x")


def test_the_text_of_an_exception_stays_out_of_the_log() -> None:
    line = _line("unexpected", error=RuntimeError("Zebulon Quastenflosser"))
    assert "Zebulon" not in json.dumps(line)
    error = line["error"]
    assert isinstance(error, dict)
    assert error["type"] == "RuntimeError"
    assert error["at"]


def test_line_breaks_in_a_fact_stay_inside_the_line() -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "said", (), None)
    record.__dict__.update(facts(name="x\n2026-01-01 ERROR admin logged in"))
    assert "\n" not in JsonFormatter("media").format(record)
