"""metadata.json: what is written is read back, and damage never goes unseen."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.ids import RunId, UploadName
from services.recorder.domain.entity import EntityDraft, ModelUse
from services.recorder.domain.events import RunWarning
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.reading import read_run
from services.recorder.domain.run import Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.domain.vocabulary import Audience, EntityType, RunState
from services.recorder.domain.warning import with_warning
from services.recorder.store.codec import (
    RunEncoder,
    checksum,
    decode_run,
    decode_upload,
    encode_upload,
    parse_document,
    parse_record,
)
from tests.unit.recorder.test_run import NOW, RUN_ID, WHY, add, draft, new_run

FULL_DRAFT = EntityDraft(
    type=EntityType.OUTPUT_IMAGE,
    output_index=2,
    metadata={"seed": "7", "title": 'Blüte "x" \\ \n\t💐'},
    stage=4,
    pass_number=3,
    started_at=datetime(2026, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC),
    duration_ms=1234,
    attempt=2,
    audience=Audience.ADVANCED,
    models_used=(ModelUse("media", "comfyui", "sd35_large"),),
)


def full_run() -> Run:
    run = new_run(outputs=3, expected=(EntityType.INPUT, EntityType.OUTPUT_IMAGE))
    run, _ = add(run, draft())
    run = run.at(4, "media_generation", 2, NOW + timedelta(seconds=1))
    run, _ = add(run, FULL_DRAFT, "image/png")
    run = with_warning(run, RunWarning("DEADLINE_NEAR", "most of it is over", 2), NOW)
    run = with_warning(run, RunWarning("DEADLINE_NEAR", "", 0), NOW)
    run = run.with_final_output(1, RunState.BLOCKED, WHY, NOW)
    run = run.with_final_output(2, RunState.SUCCEEDED, None, NOW)
    run = run.with_final_output(3, RunState.NOT_AVAILABLE, WHY, NOW)
    return run.finalized(RunState.PARTIAL, WHY, NOW)


def encoded(run: Run) -> bytes:
    return RunEncoder().encode(run)


def test_a_run_comes_back_as_it_was() -> None:
    for run in (new_run(outputs=0), new_run().at(0, "pipeline_starting", 0, NOW), full_run()):
        assert decode_run(encoded(run), RUN_ID) == run


def test_an_encoder_that_saw_a_run_grow_writes_the_same() -> None:
    encoder = RunEncoder()
    run = new_run(outputs=2)
    encoder.encode(run)
    for _ in range(5):
        run, _ = add(run, draft())
        assert encoder.encode(run) == encoded(run)


def test_it_is_made_for_people_and_in_utc() -> None:
    text = encoded(full_run()).decode()
    assert text.startswith('{\n  "layout_version": 1,\n  "run_id": "528e5af9')
    assert text.endswith("}\n")
    assert '"started_at": "2026-02-03T04:05:06.789012Z"' in text
    assert "Blüte" in text


def test_the_checksum_is_that_of_the_canonical_form() -> None:
    document = orjson.loads(encoded(full_run()))
    shuffled = dict(reversed(document.items()))
    assert checksum(shuffled) == document["checksum"]
    assert parse_document(orjson.dumps(shuffled)) == document


def test_every_flipped_bit_is_found() -> None:
    data = encoded(full_run())
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            with pytest.raises(DocumentError):
                decode_run(bytes(damaged), RUN_ID)


def test_every_truncation_is_found() -> None:
    data = encoded(full_run()).rstrip()
    for at in range(len(data)):
        with pytest.raises(DocumentError):
            decode_run(data[:at], RUN_ID)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    with pytest.raises(DocumentError):
        decode_run(data, RUN_ID)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_value_in_any_field_crashes_the_reader(value: object) -> None:
    good = orjson.loads(encoded(full_run()))
    for key in good:
        with suppress(DocumentError):  # any other error fails the test
            read_run(good | {key: value})


def test_a_run_belongs_into_the_folder_of_its_name() -> None:
    with pytest.raises(DocumentError):
        decode_run(encoded(full_run()), RunId("528e5af9-59b3-4551-b101-27e13dd6e43f"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("layout_version",), 2),
        (("run_id",), "528E5AF9-59B3-4551-B101-27E13DD6E43E"),
        (("timestamp",), "2026-01-01T00:00:00"),
        (("status",), "done"),
        (("seed",), 1.5),
        (("seed",), True),
        (("entities", 0, "sequence"), 2),
        (("entities", 1, "filename"), "../02_output_image.png"),
        (("entities", 1, "media_type"), "text/html"),
        (("entities", 0, "sha256"), "x"),
        (("entities", 0, "size_bytes"), 0),
        (("events", 0, "seq"), 2),
        (("events", 0, "kind"), "nonsense"),
        (("events", 1, "payload", "sequence"), 9),
        (("events", 5, "payload", "reason"), "lower case"),
        (("events", 5, "payload", "message"), None),
        (("events", 5, "payload", "output_index"), 4),
        (("events", 5, "payload", "output_index"), -1),
        (("events", 6, "payload", "output_index"), 2),  # told twice
        (("outputs", 0, "index"), 3),
        (("completed_outputs",), []),
        (("current_state", "progress"), "8/6"),
    ],
)
def test_what_this_version_does_not_write_is_no_run(
    path: tuple[str | int, ...], value: object
) -> None:
    document = orjson.loads(encoded(full_run()))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(DocumentError):
        read_run(document)


def test_an_upload_comes_back_as_it_was() -> None:
    _, entity = add(new_run(outputs=3), FULL_DRAFT, "image/png")
    for intent in (None, entity):
        record = UploadRecord(UploadName(RUN_ID, "u0"), FULL_DRAFT, NOW, intent)
        assert decode_upload(encode_upload(record)) == record


def test_what_an_older_version_wrote_is_still_read() -> None:
    data = (Path(__file__).parent / "metadata_v1.json").read_bytes()
    run = decode_run(data, RUN_ID)
    assert run.is_final
    assert run.entities[0].filename == "01_input.txt"
    # Compared byte for byte: another library, or version of it, that writes otherwise shows here.
    assert parse_record(data)["checksum"] in data.decode()


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"  ", b" \t"), (b"\n", b"\r"), (b'"dada"', b'"d\\u0061da"'), (b"}\n", b"}\n\n")],
)
def test_a_change_that_says_the_same_is_found(old: bytes, new: bytes) -> None:
    data = encoded(full_run())
    assert old in data
    with pytest.raises(DocumentError):
        decode_run(data.replace(old, new, 1), RUN_ID)
