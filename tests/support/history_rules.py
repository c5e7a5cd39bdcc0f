"""The rules of `history`, each a function from a history to what is wrong with it."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterator

from tests.support.history_record import FINAL, FINAL_OUTPUT, History, Record, Violation

_FILE_NUMBER = re.compile(r"(\d{2,})_")
# What nobody may see is not kept, where the check is about pixels.
_SEEN = ("output_image", "output_video")


def check_history(history: History) -> list[Violation]:
    """Everything that is wrong with the record of one run."""
    return [
        Violation(history.run_id, rule.__name__.removeprefix("_"), message)
        for rule in RULES
        for message in rule(history)
    ]


def _events_are_numbered(history: History) -> Iterator[str]:
    for number, event in enumerate(history.events, 1):
        if event["seq"] != number:
            yield f"event {number} has seq {event['seq']}"


def _entities_are_numbered(history: History) -> Iterator[str]:
    for number, entity in enumerate(history.entities, 1):
        if entity["sequence"] != number:
            yield f"entity {number} has sequence {entity['sequence']}"
        told = _FILE_NUMBER.match(entity["filename"])
        if told is None or int(told[1]) != entity["sequence"]:
            yield f"entity {entity['sequence']} is in {entity['filename']}"
    committed = [payload["sequence"] for _, payload in history.told("entity_committed")]
    if committed != [entity["sequence"] for entity in history.entities]:
        yield f"the events commit {committed}"


def _state_moves_forward(history: History) -> Iterator[str]:
    states = [payload["state"] for _, payload in history.told("state_changed")]
    order = {"pending": 0, "running": 1} | dict.fromkeys(FINAL, 2)
    if not states or states[0] != "pending":
        yield f"it began as {states[:1]}"
    for before, after in itertools.pairwise(states):
        if order[after] <= order[before]:
            yield f"{after} after {before}"
    if states and states[-1] != history.status:
        yield f"it is {history.status}, its events say {states[-1]}"


def _stages_move_forward(history: History) -> Iterator[str]:
    # A loop may come back to a stage; what is begun again says so by its iteration.
    if any(int(one["metadata"].get("iteration", "1")) > 1 for one in history.entities):
        return
    reached: dict[int, int] = {}
    for _, payload in history.told("stage_started"):
        stage, output = payload["stage"], payload["output_index"]
        before = reached.get(output, 0)
        if stage < before:
            yield f"stage {stage} after {before} ({_of(output)})"
        if stage < 3 and any(one and at >= 3 for one, at in reached.items()):
            yield f"stage {stage} after an output was begun"
        reached[output] = max(before, stage)


def _nothing_after_the_end(history: History) -> Iterator[str]:
    ends = [place for place, one in history.told("state_changed") if one["state"] in FINAL]
    if (history.status in FINAL) != bool(ends):
        yield f"it is {history.status}, and has {len(ends)} ends"
    for event in history.events[ends[0] + 1 :] if ends else ():
        yield f"{event['kind']} after its end"
    if (history.document["finished_at"] is not None) != (history.status in FINAL):
        yield f"it is {history.status}, finished at {history.document['finished_at']}"


def _an_output_ends_once(history: History) -> Iterator[str]:
    ended = Counter(payload["index"] for _, payload in history.told("output_finished"))
    for number, output in enumerate(history.outputs, 1):
        if output["index"] != number:
            yield f"output {number} has index {output['index']}"
        times, is_final = ended.pop(number, 0), output["status"] in FINAL_OUTPUT
        if times != is_final:
            yield f"output {number} is {output['status']} and ended {times} times"
        if history.status in FINAL and not is_final:
            yield f"the run has ended, output {number} is {output['status']}"
    for unknown in ended:
        yield f"output {unknown} ended and was never planned"


def _nothing_of_an_output_after_its_end(history: History) -> Iterator[str]:
    ends = {payload["index"]: place for place, payload in history.told("output_finished")}
    for place, entity in history.committed():
        if place > ends.get(entity["output_index"], place):
            yield f"{entity['filename']} after the end of output {entity['output_index']}"
    for place, payload in history.told("stage_started"):
        if place > ends.get(payload["output_index"], place):
            yield f"stage {payload['stage']} after the end of output {payload['output_index']}"


def _nothing_is_there_twice(history: History) -> Iterator[str]:
    for upload, times in Counter(one["upload_id"] for one in history.entities).items():
        if times > 1:
            yield f"upload {upload} became {times} entities"
    for what, times in Counter(_identity(one) for one in history.entities).items():
        if times > 1:
            yield f"{what} is there {times} times"


def _an_output_has_one_result(history: History) -> Iterator[str]:
    for output in history.outputs:
        results = _results(history, output["index"])
        planned = {int(one["metadata"].get("files", "1")) for one in results}
        if results and planned != {len(results)}:
            yield f"output {output['index']} has {len(results)} files, said to be {planned}"
        if output["status"] == "succeeded" and not any(_is_kept(one) for one in results):
            yield f"output {output['index']} succeeded with nothing"
    known = {output["index"] for output in history.outputs}
    for entity in history.entities:
        if entity["output_index"] and entity["output_index"] not in known:
            yield f"{entity['filename']} is of output {entity['output_index']}, which is none"


def _nothing_is_made_unchecked(history: History) -> Iterator[str]:
    safe: dict[int, bool] = {}
    texts: set[str] = set()
    committed = dict(history.committed())
    for place, event in enumerate(history.events):
        entity = committed.get(place)
        if entity is not None:
            index = entity["output_index"]
            if entity["type"] == "safety_pre_output":
                said = history.json_of(entity)
                safe[index] = said.get("decision") == "safe"
                checked = entity["metadata"].get("text_sha256")
                if checked is not None and checked not in texts:
                    yield f"{entity['filename']} is about a text that is not in the record"
            elif entity["type"].startswith("output_") and index and not safe.get(index):
                yield f"{entity['filename']} was made without a safe verdict before it"
            texts |= _texts_of(history, entity)
        elif event["kind"] == "stage_started" and event["payload"]["stage"] == 4:
            index = event["payload"]["output_index"]
            if index and not safe.get(index):
                yield f"stage 4 of output {index} without a safe verdict before it"


def _the_end_follows_from_the_outputs(history: History) -> Iterator[str]:
    states = [output["status"] for output in history.outputs]
    if history.status not in FINAL or not states:
        return
    allowed = {_outcome(states)}
    reason = (history.document["error"] or {}).get("reason")
    if "cancelled" in states:
        # Somebody stopped it; what was made before stays.
        allowed.add("cancelled")
    if reason == "RUN_DEADLINE":
        allowed.add("failed")
    if history.status not in allowed:
        yield f"it is {history.status}, its outputs are {', '.join(states)}"
    if history.status in ("blocked", "failed") and reason is None:
        yield f"it is {history.status} and nobody says why"


def _what_is_blocked_is_not_kept(history: History) -> Iterator[str]:
    for entity in history.entities:
        if not _is_kept(entity):
            if history.read(entity["filename"]) is not None:
                yield f"{entity['filename']} is erased and there"
        elif history.read(entity["filename"]) is None:
            yield f"{entity['filename']} is not there"
    for output in history.outputs:
        for entity in _results(history, output["index"]):
            seen = entity["type"] in _SEEN and _is_kept(entity)
            if output["status"] == "blocked" and seen:
                yield f"{entity['filename']} is kept, and its output is blocked"


RULES = (
    _events_are_numbered,
    _entities_are_numbered,
    _state_moves_forward,
    _stages_move_forward,
    _nothing_after_the_end,
    _an_output_ends_once,
    _nothing_of_an_output_after_its_end,
    _nothing_is_there_twice,
    _an_output_has_one_result,
    _nothing_is_made_unchecked,
    _the_end_follows_from_the_outputs,
    _what_is_blocked_is_not_kept,
)


def _outcome(states: list[str]) -> str:
    # Said once more here, because what is checked against itself is not checked.
    kinds = set(states)
    if kinds == {"succeeded"}:
        return "succeeded"
    if "succeeded" in kinds:
        return "partial"
    return kinds.pop() if kinds in ({"blocked"}, {"cancelled"}) else "failed"


def _identity(entity: Record) -> str:
    # The files of an output have names of their own; how many there may be is another rule.
    parts = [entity["type"], f"stage {entity['stage']}", f"output {entity['output_index']}"]
    parts.append(f"pass {entity['pass']}")
    for key in ("step", "iteration", "index", "question", "entity"):
        if key in entity["metadata"]:
            parts.append(f"{key} {entity['metadata'][key]}")
    if entity["type"].startswith("output_"):
        parts.append(entity["upload_id"])
    return ", ".join(parts)


def _texts_of(history: History, entity: Record) -> set[str]:
    """Digests of the texts an entity brings into the run: its own, and that of a decision."""
    found = {entity["sha256"]}
    if entity["type"] == "decision":
        text = history.json_of(entity).get("text")
        if isinstance(text, str):
            found.add(hashlib.sha256(text.encode()).hexdigest())
    return found


def _results(history: History, index: int) -> list[Record]:
    return [
        one
        for one in history.entities
        if one["output_index"] == index and one["type"].startswith("output_")
    ]


def _is_kept(entity: Record) -> bool:
    return entity.get("erased_at") is None


def _of(output: int) -> str:
    return f"output {output}" if output else "the run"
