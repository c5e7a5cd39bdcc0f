"""The history checker finds each thing that cannot have happened, and nothing where all is well."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.history import check_root
from tests.support.history_record import History, Violation
from tests.support.history_rules import RULES, check_history

RUN_ID = "00000000-0000-4000-8000-000000000001"
TEXT = b"eine Blume, die ein Bahnhof ist"
SAFE, NO = b'{"decision": "safe"}', b'{"decision": "blocked"}'
WHY = {"reason": "SAFETY_BLOCKED", "message": "youth.violence", "stage": 4, "retryable": False}


class Made:
    """A record and its files, as something that may be spoiled."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.document: dict[str, Any] = {
            "run_id": RUN_ID,
            "status": "pending",
            "finished_at": None,
            "error": None,
            "outputs": [],
            "entities": [],
            "events": [],
        }

    def violations(self) -> list[Violation]:
        """What the checker says."""
        return check_history(History(self.document, self.files.get))

    def event(self, kind: str, **payload: Any) -> None:
        """Add an event."""
        events = self.document["events"]
        events.append({"seq": len(events) + 1, "kind": kind, "payload": payload})

    def state(self, state: str) -> None:
        """Move the run."""
        self.document["status"] = state
        self.event("state_changed", state=state, error=None)
        if state not in ("pending", "running"):
            self.document["finished_at"] = "2026-11-20T12:00:00.000000Z"

    def stage(self, stage: int, output: int = 0) -> None:
        """Begin a stage."""
        self.event("stage_started", stage=stage, output_index=output)

    def entity(self, kind: str, data: bytes, stage: int, output: int = 0, **metadata: str) -> None:
        """Commit an entity."""
        number = len(self.document["entities"]) + 1
        name = f"{number:02}_{kind}"
        self.files[name] = data
        self.document["entities"].append(
            {
                "sequence": number,
                "type": kind,
                "filename": name,
                "sha256": hashlib.sha256(data).hexdigest(),
                "stage": stage,
                "output_index": output,
                "pass": 0,
                "upload_id": f"{kind}-{output}",
                "metadata": metadata,
            }
        )
        self.event("entity_committed", sequence=number)

    def output(self, index: int, status: str) -> None:
        """End an output."""
        self.document["outputs"][index - 1]["status"] = status
        self.event("output_finished", index=index)


def good() -> Made:
    """A run of three outputs, made at once: a picture, one that was refused, and a text."""
    made = Made()
    made.document["outputs"] = [{"index": index, "status": "pending"} for index in (1, 2, 3)]
    made.state("pending")
    made.entity("input", b"eine Blume", 0)
    made.state("running")
    made.stage(1)
    made.entity("safety", SAFE, 1)
    made.stage(2)
    made.entity("interception", TEXT, 2)
    checked = hashlib.sha256(TEXT).hexdigest()
    for output in (1, 2, 3):
        made.stage(3, output)
        made.entity("safety_pre_output", SAFE, 3, output, text_sha256=checked)
    for output in (1, 2, 3):
        made.stage(4, output)
    made.entity("output_image", b"a picture", 4, 1)
    made.entity("output_image", b"a worse one", 4, 2)
    made.output(1, "succeeded")
    made.entity("safety_image", NO, 4, 2)
    made.document["entities"][7]["erased_at"] = "2026-11-20T11:59:59.000000Z"
    del made.files[made.document["entities"][7]["filename"]]
    made.event("entity_erased", sequence=8, reason="SAFETY_BLOCKED")
    made.output(2, "blocked")
    made.entity("output_text", b"a text", 4, 3)
    made.output(3, "succeeded")
    made.state("partial")
    return made


def entities(made: Made) -> Any:
    return made.document["entities"]


def events(made: Made) -> Any:
    return made.document["events"]


def _renumbered(made: Made) -> None:
    for number, event in enumerate(events(made), 1):
        event["seq"] = number


def gap_in_events(made: Made) -> None:
    del events(made)[5]


def event_twice(made: Made) -> None:
    events(made).insert(5, copy.deepcopy(events(made)[5]))


def gap_in_entities(made: Made) -> None:
    del entities(made)[1]
    events(made)[:] = [one for one in events(made) if one["payload"] != {"sequence": 2}]
    _renumbered(made)


def entity_without_event(made: Made) -> None:
    events(made)[:] = [one for one in events(made) if one["payload"] != {"sequence": 2}]
    _renumbered(made)


def file_of_another_number(made: Made) -> None:
    data = made.files.pop(entities(made)[1]["filename"])
    entities(made)[1]["filename"] = "09_safety"
    made.files["09_safety"] = data


def back_to_running(made: Made) -> None:
    place = len(events(made)) - 1
    made.event("state_changed", state="running", error=None)
    events(made).insert(place, events(made).pop())
    _renumbered(made)


def ended_twice(made: Made) -> None:
    made.event("state_changed", state="partial", error=None)


def other_end_than_told(made: Made) -> None:
    made.document["status"] = "succeeded"


def never_ended(made: Made) -> None:
    made.document["finished_at"] = None


def stage_again(made: Made) -> None:
    made.stage(2)
    events(made).insert(-2, events(made).pop())
    _renumbered(made)


def stage_of_an_output_again(made: Made) -> None:
    made.stage(3, 3)
    events(made).insert(-3, events(made).pop())
    _renumbered(made)


def entity_after_the_end(made: Made) -> None:
    made.entity("error", b"{}", 4)


def output_ended_twice(made: Made) -> None:
    made.event("output_finished", index=1)
    events(made).insert(-1, events(made).pop())
    _renumbered(made)


def output_left_open(made: Made) -> None:
    made.document["outputs"][2]["status"] = "running"
    events(made)[:] = [one for one in events(made) if one["payload"] != {"index": 3}]
    _renumbered(made)


def picture_after_its_end(made: Made) -> None:
    finished = next(one for one in events(made) if one["payload"] == {"index": 1})
    events(made).remove(finished)
    place = next(n for n, one in enumerate(events(made)) if one["payload"] == {"sequence": 7})
    events(made).insert(place, finished)
    _renumbered(made)


def upload_twice(made: Made) -> None:
    entities(made)[1]["upload_id"] = "input-0"


def verdict_twice(made: Made) -> None:
    made.entity("safety", SAFE, 1)
    entities(made)[-1]["upload_id"] = "another"
    events(made).insert(-1, events(made).pop())
    _renumbered(made)


def picture_twice(made: Made) -> None:
    made.entity("output_image", b"another picture", 4, 1)
    entities(made)[-1]["upload_id"] = "another"
    end = next(n for n, one in enumerate(events(made)) if one["payload"] == {"index": 1})
    events(made).insert(end, events(made).pop())
    committed = [one for one in events(made) if one["kind"] == "entity_committed"]
    for number, event in enumerate(committed, 1):
        event["payload"]["sequence"] = number
    late = entities(made).pop()
    entities(made).insert(8, late)
    for number, entity in enumerate(entities(made), 1):
        data = made.files.pop(entity["filename"], None)
        entity["sequence"], entity["filename"] = number, f"{number:02}_{entity['type']}."
        if data is not None:
            made.files[entity["filename"]] = data
    _renumbered(made)


def success_without_bytes(made: Made) -> None:
    entities(made)[6]["erased_at"] = "2026-11-20T11:59:59.000000Z"
    del made.files[entities(made)[6]["filename"]]


def of_no_output(made: Made) -> None:
    entities(made)[8]["output_index"] = 4


def no_verdict(made: Made) -> None:
    made.files[entities(made)[3]["filename"]] = NO


def verdict_after_the_stage(made: Made) -> None:
    committed = next(one for one in events(made) if one["payload"] == {"sequence": 6})
    began = next(
        n for n, one in enumerate(events(made)) if one["payload"] == {"stage": 4, "output_index": 3}
    )
    events(made).remove(committed)
    events(made).insert(began, committed)
    _renumbered(made)


def verdict_about_another_text(made: Made) -> None:
    entities(made)[4]["metadata"]["text_sha256"] = hashlib.sha256(b"another").hexdigest()


def wrong_sum(made: Made) -> None:
    made.document["status"] = "succeeded"
    events(made)[-1]["payload"]["state"] = "succeeded"


def nobody_says_why(made: Made) -> None:
    for output in made.document["outputs"]:
        output["status"] = "failed"
    made.document["status"] = events(made)[-1]["payload"]["state"] = "failed"


def erased_and_there(made: Made) -> None:
    made.files[entities(made)[7]["filename"]] = b"a worse one"


def refused_and_kept(made: Made) -> None:
    del entities(made)[7]["erased_at"]
    made.files[entities(made)[7]["filename"]] = b"a worse one"


def lost_file(made: Made) -> None:
    del made.files[entities(made)[0]["filename"]]


SPOILED: dict[Callable[[Made], None], str] = {
    gap_in_events: "events_are_numbered",
    event_twice: "events_are_numbered",
    gap_in_entities: "entities_are_numbered",
    entity_without_event: "entities_are_numbered",
    file_of_another_number: "entities_are_numbered",
    back_to_running: "state_moves_forward",
    ended_twice: "state_moves_forward",
    other_end_than_told: "state_moves_forward",
    never_ended: "nothing_after_the_end",
    stage_again: "stages_move_forward",
    stage_of_an_output_again: "stages_move_forward",
    entity_after_the_end: "nothing_after_the_end",
    output_ended_twice: "an_output_ends_once",
    output_left_open: "an_output_ends_once",
    picture_after_its_end: "nothing_of_an_output_after_its_end",
    upload_twice: "nothing_is_there_twice",
    verdict_twice: "nothing_is_there_twice",
    picture_twice: "an_output_has_one_result",
    success_without_bytes: "an_output_has_one_result",
    of_no_output: "an_output_has_one_result",
    no_verdict: "nothing_is_made_unchecked",
    verdict_after_the_stage: "nothing_is_made_unchecked",
    verdict_about_another_text: "nothing_is_made_unchecked",
    wrong_sum: "the_end_follows_from_the_outputs",
    nobody_says_why: "the_end_follows_from_the_outputs",
    erased_and_there: "what_is_blocked_is_not_kept",
    refused_and_kept: "what_is_blocked_is_not_kept",
    lost_file: "what_is_blocked_is_not_kept",
}


def test_a_history_that_could_have_happened_is_left_alone() -> None:
    assert good().violations() == []


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_what_cannot_have_happened_is_found(spoil: Callable[[Made], None]) -> None:
    made = good()
    spoil(made)
    assert SPOILED[spoil] in {violation.rule for violation in made.violations()}


def test_every_rule_is_broken_by_somebody() -> None:
    assert set(SPOILED.values()) == {rule.__name__.removeprefix("_") for rule in RULES}


def write(root: Path, made: Made) -> None:
    folder = root / RUN_ID
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text(json.dumps(made.document))
    for name, data in made.files.items():
        (folder / name).write_bytes(data)


def test_a_root_is_checked_with_what_was_acknowledged(tmp_path: Path) -> None:
    write(tmp_path, good())
    (tmp_path / ".index").mkdir()
    assert check_root(tmp_path, [RUN_ID], must_be_final=True) == []
    other = RUN_ID.replace("1", "2")
    [lost] = check_root(tmp_path, [RUN_ID, other])
    assert (lost.run_id, lost.rule) == (other, "acknowledged")


def test_an_acknowledged_run_has_its_input_and_ends(tmp_path: Path) -> None:
    made = Made()
    made.state("pending")
    write(tmp_path, made)
    assert check_root(tmp_path) == []
    found = check_root(tmp_path, [RUN_ID], must_be_final=True)
    assert {violation.rule for violation in found} == {"acknowledged", "ended"}


def test_a_record_nobody_can_read_is_told(tmp_path: Path) -> None:
    write(tmp_path, good())
    (tmp_path / RUN_ID / "metadata.json").write_text("{")
    [violation] = check_root(tmp_path)
    assert violation.rule == "readable"
