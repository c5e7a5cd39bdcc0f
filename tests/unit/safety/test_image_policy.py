"""The policy's part about pictures: what is refused at which level, and tables that are refused."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kit.catalogue import CatalogueError
from services.kit.errors import Unavailable
from services.safety.catalogue import load_safety
from services.safety.domain.detector_labels import DETECTOR_LABELS
from services.safety.domain.image_policy import Sighting
from services.safety.domain.levels import Level
from services.safety.images.sampling import sample
from services.safety.judge.nudenet import sightings_of
from tests.unit.safety.support import FOLDER, read, safety

# What the detector said of pictures that were drawn here: a plain one, a face of ovals, noise.
RECORDED = read(Path(__file__).parent / "corpus" / "detector_scores.yaml")


def answer(scores: dict[str, float]) -> bytes:
    return struct.pack(">18f", *(scores.get(label, 0.0) for label in DETECTOR_LABELS))


def rule(level: Level, **scores: float) -> str:
    return safety().images.decide(level, sightings_of(answer(scores))).category


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("level", list(Level))
def test_what_the_detector_said_of_harmless_pictures_is_safe(name: str, level: Level) -> None:
    assert rule(level, **RECORDED[name]) == ""


@pytest.mark.parametrize(
    ("label", "score", "refused_at"),
    [
        ("FEMALE_GENITALIA_EXPOSED", 0.31, [Level.KIDS]),
        ("FEMALE_GENITALIA_EXPOSED", 0.45, [Level.KIDS, Level.YOUTH]),
        ("FEMALE_GENITALIA_EXPOSED", 0.29, []),
        ("MALE_GENITALIA_EXPOSED", 0.9, [Level.KIDS, Level.YOUTH]),
        ("ANUS_EXPOSED", 0.9, [Level.KIDS, Level.YOUTH]),
        ("BUTTOCKS_EXPOSED", 0.4, [Level.KIDS]),
        ("FEMALE_BREAST_EXPOSED", 0.6, [Level.KIDS, Level.YOUTH]),
        # A child at the beach.
        ("MALE_BREAST_EXPOSED", 1.0, []),
        ("BELLY_EXPOSED", 1.0, []),
        ("FEET_EXPOSED", 1.0, []),
        ("FACE_FEMALE", 1.0, []),
        ("FEMALE_BREAST_COVERED", 1.0, []),
    ],
)
def test_each_label_is_refused_from_its_limit_on(
    label: str, score: float, refused_at: list[Level]
) -> None:
    assert [level for level in Level if rule(level, **{label: score})] == refused_at


def test_the_first_category_of_the_policy_is_the_rule_and_all_are_named() -> None:
    sightings = [Sighting("vision", "violence", 1.0), Sighting("vision", "nudity", 1.0)]
    decision = safety().images.decide(Level.KIDS, sightings)
    assert decision.category == "nudity"
    assert decision.codes == ("nudity", "violence")


def test_what_a_judge_refuses_itself_is_refused_whatever_its_score() -> None:
    sightings = [Sighting("vision", "weapons", 0.33)]
    assert safety().images.decide(Level.YOUTH, sightings).category == ""
    assert safety().images.decide(Level.YOUTH, sightings, ["weapons"]).category == "weapons"


def test_bytes_stay_only_where_the_policy_says_so() -> None:
    def keep(level: Level, category: str) -> bool:
        return safety().images.decide(level, [Sighting("vision", category, 1.0)]).keep_blocked

    assert not keep(Level.KIDS, "violence")
    assert not keep(Level.YOUTH, "violence")
    assert keep(Level.ADULT, "violence")
    assert [keep(level, "sexualised_minors") for level in Level] == [False] * 4


def test_children_and_the_young_see_nothing_unchecked() -> None:
    assert safety().images.check_levels == (Level.KIDS, Level.YOUTH)


@pytest.mark.parametrize(
    "scores",
    [
        b"",
        struct.pack(">17f", *[0.0] * 17),
        struct.pack(">18f", *[0.0] * 17, float("nan")),
        struct.pack(">18f", *[0.0] * 17, float("inf")),
        struct.pack(">18f", *[0.0] * 17, 1.01),
        struct.pack(">18f", *[0.0] * 17, -0.01),
    ],
)
def test_odd_scores_are_an_error_and_no_verdict(scores: bytes) -> None:
    with pytest.raises(Unavailable, match="IMAGE_JUDGE_PROTOCOL"):
        sightings_of(scores)


@pytest.mark.parametrize("count", [1, 2, 8, 9, 10, 25, 240, 100_000])
def test_frames_are_spread_evenly_with_the_first_the_middle_and_the_last(count: int) -> None:
    numbers = sample(count)
    assert len(numbers) == min(count, 9) == len(set(numbers))
    assert (numbers[0], numbers[-1]) == (0, count - 1)
    assert min(abs(number - (count - 1) / 2) for number in numbers) <= 0.5
    gaps = [after - before for before, after in pairwise(numbers)]
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "safety")
    return tmp_path / "safety"


Change = Callable[[Any], object]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d["levels"].pop("youth"), "says nothing about youth"),
        (lambda d: d["levels"]["kids"].update(judges=[]), "at least 1 item"),
        (lambda d: d["levels"]["kids"].update(judges=["eyes"]), "unknown judge eyes"),
        (lambda d: d["levels"]["kids"]["refuse"].update(fun={}), "unknown category fun"),
        (
            lambda d: d["levels"]["kids"]["refuse"]["nudity"]["nudenet"].update(ELBOW=0.5),
            "nudenet knows no ELBOW",
        ),
        (
            lambda d: d["levels"]["kids"]["refuse"]["nudity"]["nudenet"].update(ANUS_EXPOSED=0),
            "greater than 0",
        ),
        (
            lambda d: d["levels"]["kids"]["refuse"]["nudity"]["nudenet"].update(ANUS_EXPOSED=0.9),
            "ANUS_EXPOSED is laxer than at youth",
        ),
        (
            lambda d: d["levels"]["kids"]["refuse"].pop("violence"),
            "violence is laxer than at youth",
        ),
        (
            lambda d: d["levels"]["youth"].update(judges=["nudenet", "vision"]),
            "asks no vision, and youth does",
        ),
        (
            lambda d: d["levels"]["kids"]["refuse"]["horror"]["vision"].update(violence=0.5),
            "violence is in another category already",
        ),
        (lambda d: d.update(check_levels=["youth"]), "the stricter level before it is not"),
        (lambda d: d["never_kept"].append("fun"), "unknown category fun"),
        (lambda d: d["categories"].append("nudity"), "a category is named twice"),
        (lambda d: d.update(on_failure="allow"), "Extra inputs are not permitted"),
        (
            lambda d: d["levels"].update(
                {
                    n: {"judges": ["nudenet"], "keep_blocked": False, "refuse": {}}
                    for n in d["levels"]
                }
            ),
            "is to be checked and refuses nothing",
        ),
    ],
)
def test_a_table_that_would_let_things_be_seen_is_refused(
    folder: Path, change: Change, reason: str
) -> None:
    document = read(folder / "policy.yaml")
    change(document["images"])
    (folder / "policy.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(CatalogueError) as caught:
        load_safety(folder)
    found = [str(defect) for defect in caught.value.defects]
    assert any("policy.yaml: images" in line and reason in line for line in found), found


def test_an_explanation_that_is_missing_for_pictures_is_a_defect(folder: Path) -> None:
    document = read(folder / "explanations" / "de.yaml")
    del document["images"]["kids"]["nudity"]
    (folder / "explanations" / "de.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"images\.kids: nothing for nudity at kids"):
        load_safety(folder)


def test_another_limit_is_another_version(folder: Path) -> None:
    document = read(folder / "policy.yaml")
    document["images"]["levels"]["kids"]["refuse"]["nudity"]["nudenet"]["ANUS_EXPOSED"] = 0.2
    (folder / "policy.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    assert load_safety(folder).version != safety().version
