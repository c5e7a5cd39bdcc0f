"""Names and manifest of an archive: what is not from our own table does not exist."""

from __future__ import annotations

from typing import Any

import pytest

from services.kit.ids import RunId
from services.recorder.domain.archive import (
    ArchivedRun,
    ArchiveFile,
    LeftOut,
    Manifest,
    manifest_document,
    path_in_run,
    read_manifest,
    split_path,
)
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.vocabulary import Audience, RunState

RUN = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
OTHER = RunId("00000000-59b3-4551-b101-27e13dd6e43e")
MANIFEST = Manifest(
    audience=Audience.RESEARCH,
    as_of=None,
    runs=[ArchivedRun(RUN, RunState.SUCCEEDED, "ab" * 32)],
    left_out=[LeftOut(OTHER, "ENTITY_CORRUPT", "damaged")],
    files=[
        ArchiveFile(f"{RUN}/01_input.txt", 3, "cd" * 32, "cd" * 32),
        ArchiveFile(f"{RUN}/02_output_image.png", 9, "cd" * 32, "ef" * 32, is_stamped=True),
        ArchiveFile("runs.jsonl", 3, "cd" * 32),
    ],
)


@pytest.mark.parametrize(
    "path", ["manifest.json", "runs.jsonl", "ro-crate-metadata.json", f"{RUN}/metadata.json"]
)
def test_names_of_the_table_are_known(path: str) -> None:
    run_id, name = split_path(path)
    assert path == (name if run_id is None else path_in_run(run_id, name))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "metadata.json",
        "01_input.txt",
        "Manifest.json",
        "manifest.json/",
        "./manifest.json",
        "../manifest.json",
        "/manifest.json",
        f"{RUN}/",
        f"{RUN}/manifest.json",
        f"{RUN}/Metadata.json",
        f"{RUN}/../metadata.json",
        f"{RUN}/x/metadata.json",
        f"{RUN}\\metadata.json",
        f"{RUN}//metadata.json",
        f"/{RUN}/metadata.json",
        f"./{RUN}/metadata.json",
        f"{str(RUN).upper()}/metadata.json",
        f"{RUN}/metadata.json\x00.txt",
        f"{RUN}/metadata.json ",
        f"{RUN}/01_input.txt\n",
        f"{RUN}/1_input.txt",
        f"{RUN}/01_password.txt",
        f"{RUN}/٠١_input.txt",
        "C:/metadata.json",
        ".uploads/metadata.json",
        "x" * 100_000,
    ],
)
def test_every_other_name_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a name of an archive"):
        split_path(path)


def test_a_manifest_reads_back_as_it_was() -> None:
    assert read_manifest(manifest_document(MANIFEST)) == MANIFEST


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("format", "zip", "format: expected artlab-export"),
        ("format_version", 2, "format_version: expected 1"),
        ("layout_version", 2, "layout_version: expected 1"),
        ("complete", False, "complete: does not follow from the audience"),
        ("audience", "everybody", "audience: not a Audience"),
        ("runs", [], "files: a file of a run that is not in it"),
        ("files", [{"path": "../x"}], "files[0].path: not a name of an archive"),
        ("files", [{"path": "runs.jsonl", "size_bytes": -1}], "files[0].size_bytes"),
    ],
)
def test_a_manifest_that_is_none_is_told_with_the_place(key: str, value: Any, told: str) -> None:
    document = manifest_document(MANIFEST) | {key: value}
    with pytest.raises(DocumentError) as caught:
        read_manifest(document)
    assert told in str(caught.value)


@pytest.mark.parametrize("key", ["runs", "files"])
def test_nothing_is_named_twice(key: str) -> None:
    document = manifest_document(MANIFEST)
    document[key].append(document[key][0])
    with pytest.raises(DocumentError, match=f"{key}: one is named twice"):
        read_manifest(document)
