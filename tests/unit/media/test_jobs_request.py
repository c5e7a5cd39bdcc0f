"""What identifies a request, and what is written beside its bytes."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.ids import RunId, UploadName
from services.media.domain.request import (
    MAX_METADATA_BYTES,
    MAX_METADATA_KEYS,
    MAX_SEED,
    MAX_VALUE_BYTES,
    MediaRequest,
    entity_metadata,
)

REQUEST = MediaRequest(
    upload=UploadName(RunId("0f0e0d0c-0b0a-4908-8706-050403020100"), "output-1"),
    output_config="picture",
    prompt="Hallo",
    output_index=1,
    seed=1,
    recipe="dada",
    parameters={"width": 64, "cfg": 1.5},
)


def test_the_same_request_has_the_same_digest() -> None:
    turned = dataclasses.replace(REQUEST, parameters={"cfg": 1.5, "width": 64})
    assert REQUEST.digest() == turned.digest()


@pytest.mark.parametrize(
    "change",
    [
        {"output_config": "other"},
        {"prompt": "Hallo "},
        {"output_index": 2},
        {"seed": None},
        {"seed": 0},
        {"recipe": ""},
        {"parameters": {}},
        {"parameters": {"width": 64, "cfg": 1.25}},
        {"parameters": {"width": 64, "cfg": "1.5"}},
        {"parameters": {"width": 64.0, "cfg": 1.5}},
    ],
    ids=str,
)
def test_every_field_makes_another_request(change: dict[str, object]) -> None:
    assert dataclasses.replace(REQUEST, **change).digest() != REQUEST.digest()  # type: ignore[arg-type]


def test_our_facts_win_over_the_backends_and_those_over_the_parameters() -> None:
    joined = entity_metadata(
        {"width": 64, "hires": True, "cfg": 5.5, "seed": 3},
        {"width": "128", "instance": "http://a", "seed": "4"},
        {"seed": "5"},
    )
    assert joined == {
        "width": "128", "hires": "true", "cfg": "5.5", "instance": "http://a", "seed": "5",
    }  # fmt: skip


@given(
    st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True), st.text(), max_size=90)
)
def test_metadata_stays_within_the_recorders_limits(reported: dict[str, str]) -> None:
    joined = entity_metadata({}, reported, {"seed": "1"})
    assert joined["seed"] == "1"
    assert len(joined) <= MAX_METADATA_KEYS
    assert sum(len(k.encode()) + len(v.encode()) for k, v in joined.items()) <= MAX_METADATA_BYTES


def test_a_long_value_is_cut_at_a_whole_character() -> None:
    joined = entity_metadata({"negative_prompt": "ü" * 2000}, {}, {})
    value = joined["negative_prompt"]
    assert value.endswith("ü…")
    assert len(value.encode()) <= MAX_VALUE_BYTES


def test_a_seed_asked_for_is_the_one_used() -> None:
    assert REQUEST.drawn_seed() == 1
    assert dataclasses.replace(REQUEST, seed=0).drawn_seed() == 0


def test_a_seed_nobody_chose_is_the_same_after_a_crash_and_another_for_another_output() -> None:
    unset = dataclasses.replace(REQUEST, seed=None)
    uploads = [UploadName(RunId.new(), f"output-{n}") for n in range(50) for _ in (1, 2)]
    seeds = [dataclasses.replace(unset, upload=upload).drawn_seed() for upload in uploads]
    assert seeds[0] == dataclasses.replace(unset, upload=uploads[0]).drawn_seed()
    assert len(set(seeds)) == len(set(uploads))
    assert all(0 <= seed <= MAX_SEED for seed in seeds)
    assert max(seeds) > MAX_SEED // 4, "of the whole range"
