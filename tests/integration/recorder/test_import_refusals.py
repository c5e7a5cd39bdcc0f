"""Archives that were not made by an export, or were changed since: refused, nothing comes in."""

from __future__ import annotations

import io
import json
import stat
import struct
import warnings
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.kit.errors import InvalidArgument
from services.recorder.store.codec import encode_document
from tests.integration.recorder.archives import (
    export,
    finished_run,
    new_id,
    png,
    run_folders,
    take_in,
    unzipped,
    with_manifest,
    zipped,
)
from tests.integration.recorder.harness import World, world_of

Files = dict[str, bytes]


@pytest_asyncio.fixture
async def exported(tmp_path: Path) -> bytes:
    async with world_of("grpc", tmp_path / "source") as source:
        return await export(source, await finished_run(source))


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of("grpc", tmp_path / "runs") as opened:
        yield opened


async def refused(world: World, archive: bytes, told: str) -> None:
    before = run_folders(world.root)
    with pytest.raises(InvalidArgument) as caught:
        await take_in(world, archive)
    assert caught.value.reason == "ARCHIVE_INVALID"
    assert told in caught.value.message
    assert run_folders(world.root) == before
    assert not list((world.root / ".imports").glob("*"))


def path_of(files: Files, ending: str) -> str:
    return next(path for path in files if path.endswith(ending))


def renamed(old: str, new: str) -> Callable[[bytes], bytes]:
    """The same archive with another name of the same length in its lists."""
    assert len(old) == len(new)
    return lambda archive: archive.replace(old.encode(), new.encode())


def with_info(change: Callable[[zipfile.ZipInfo], None]) -> Callable[[bytes], bytes]:
    """The archive with something else said of its first file."""

    def changed(archive: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as made:
            for place, (name, data) in enumerate(unzipped(archive).items()):
                info = zipfile.ZipInfo(name)
                if not place:
                    change(info)
                made.writestr(info, data)
        return buffer.getvalue()

    return changed


def attribute(mode: int) -> Callable[[bytes], bytes]:
    return with_info(lambda info: setattr(info, "external_attr", mode << 16))


def patched(offset: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """The archive with a number changed in the first entry of its list of files."""

    def changed(archive: bytes) -> bytes:
        data = bytearray(archive)
        at = data.index(b"PK\x01\x02") + offset
        struct.pack_into(form, data, at, value)
        return bytes(data)

    return changed


def at_end(offset: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """The archive with a number changed in the record at its end."""

    def changed(archive: bytes) -> bytes:
        data = bytearray(archive)
        struct.pack_into(form, data, len(data) - 22 + offset, value)
        return bytes(data)

    return changed


def twice(archive: bytes) -> bytes:
    files = unzipped(archive)
    path = path_of(files, "01_input.txt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return zipped([*files.items(), (path, b"another text")])


def also(name: str) -> Callable[[bytes], bytes]:
    return lambda archive: zipped({**unzipped(archive), name: b"x"})


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda _: b"", "there is no file"),
    "no ZIP": (lambda _: b"PK" + b"x" * 5000, "not a ZIP file"),
    "a picture": (lambda _: png(), "not a ZIP file"),
    "cut in the middle": (lambda archive: archive[: len(archive) // 2], "not all of it"),
    "one byte short": (lambda archive: archive[:-1], "not all of it"),
    "something behind it": (lambda archive: archive + b"x", "not all of it"),
    "a comment": (at_end(20, "<H", 1), "not all of it"),
    "a hole": (lambda archive: archive[:100] + archive[200:], "not a readable ZIP file"),
    "a list elsewhere": (at_end(16, "<L", 2**31), "not a readable ZIP file"),
    "a list without end": (at_end(12, "<L", 2**32 - 2), "files"),
    "files without end": (at_end(10, "<H", 2**16 - 1), "not as many files as it says"),
    "a name that climbs": (also("../evil.txt"), "a name that no archive of ours has"),
    "an absolute name": (also("/etc/passwd"), "a name that no archive of ours has"),
    "a backslash": (also("a\\metadata.json"), "a name that no archive of ours has"),
    "a drive": (also("C:/metadata.json"), "a name that no archive of ours has"),
    "a folder": (also(f"{new_id()}/"), "a name that no archive of ours has"),
    "a case clash": (also("MANIFEST.json"), "a name that no archive of ours has"),
    "a name cut by NUL": (
        renamed("ro-crate-metadata.json", "runs.jsonl\0tadata.json"),
        "a name that no archive of ours has",
    ),
    "a file of nobody's": (also(f"{new_id()}/metadata.json"), "not in the manifest"),
    "one entity more": (
        lambda archive: zipped(
            {
                **(files := unzipped(archive)),
                path_of(files, "report.html")[:37] + "05_error.json": b"x",
            }
        ),
        "not in the manifest",
    ),
    "the same name twice": (twice, "there twice"),
    "a link": (attribute(stat.S_IFLNK | 0o777), "not a regular file"),
    "a device": (attribute(stat.S_IFCHR | 0o666), "not a regular file"),
    "a pipe": (attribute(stat.S_IFIFO | 0o666), "not a regular file"),
    "encrypted": (patched(8, "<H", 0x9), "encrypted"),
    "bzip2": (patched(10, "<H", zipfile.ZIP_BZIP2), "compressed in a way"),
    "an unknown method": (patched(10, "<H", 99), "compressed in a way"),
    "a size that lies": (patched(24, "<L", 5), "not as long as the manifest says"),
    "a checksum that lies": (patched(16, "<L", 5), "not a readable ZIP file"),
    "a bomb": (
        lambda archive: zipped(
            {**(files := unzipped(archive)), path_of(files, "01_input.txt"): bytes(70 * 1024**2)}
        ),
        "far larger than runs do",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_file_that_no_export_makes_is_refused(
    world: World, exported: bytes, case: str
) -> None:
    breaking, told = BROKEN[case]
    await refused(world, breaking(exported), told)


def without(ending: str) -> Callable[[Files], Files]:
    def changed(files: Files) -> Files:
        gone = path_of(files, ending)
        return {path: data for path, data in files.items() if path != gone}

    return changed


def replaced(ending: str, data: bytes) -> Callable[[Files], Files]:
    return lambda files: {**files, path_of(files, ending): data}


def agreed(change: Callable[[Files], Files], **values: Any) -> Callable[[Files], Files]:
    """The manifest agrees with what was changed."""
    return lambda files: with_manifest(change(files), **values)


def manifest(**changes: Any) -> Callable[[Files], Files]:
    return lambda files: with_manifest(files, **changes)


def with_document(**changes: Any) -> Callable[[Files], Files]:
    """Another metadata.json, its own checksum right, and the manifest agrees."""
    return edited(lambda document: document.update(changes))


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Files], Files]:
    """The same with whatever is done to the document."""

    def changed(files: Files) -> Files:
        path = path_of(files, "/metadata.json")
        document = json.loads(files[path])
        change(document)
        document.pop("checksum")
        files = {**files, path: encode_document(document)}
        runs = json.loads(files["manifest.json"])["runs"]
        runs[0]["checksum"] = json.loads(files[path])["checksum"]
        return with_manifest(files, runs=runs)

    return changed


def other_digest(files: Files) -> Files:
    document = json.loads(files["manifest.json"])
    entries = document["files"]
    next(one for one in entries if one["path"].endswith(".txt"))["recorded_sha256"] = "ab" * 32
    document.pop("checksum")
    return {**files, "manifest.json": encode_document(document)}


def unstamped(files: Files) -> Files:
    document = json.loads(files["manifest.json"])
    next(one for one in document["files"] if one.get("stamped"))["stamped"] = False
    document.pop("checksum")
    return {**files, "manifest.json": encode_document(document)}


CHANGED: dict[str, tuple[Callable[[Files], Files], str]] = {
    "no manifest": (without("manifest.json"), "there is no manifest.json"),
    "a manifest that is no JSON": (replaced("manifest.json", b"{"), "manifest.json: not JSON"),
    "a manifest changed by hand": (
        lambda files: {
            **files,
            "manifest.json": files["manifest.json"].replace(b'"as_of"', b'"as_for"'),
        },
        "manifest.json: the checksum does not match",
    ),
    "a later format": (manifest(format_version=2), "format_version: expected 1"),
    "a later layout": (manifest(layout_version=2), "layout_version: expected 1"),
    "a later layout of a run": (with_document(layout_version=2), "layout_version: expected 1"),
    "no metadata": (without("/metadata.json"), "metadata.json: missing"),
    "no metadata, and the manifest agrees": (agreed(without("/metadata.json")), "missing"),
    "no entity": (without("01_input.txt"), "01_input.txt: missing"),
    "no entity, and the manifest agrees": (
        agreed(without("01_input.txt")),
        "in the record or in the archive, not in both",
    ),
    "no report": (agreed(without("report.html")), "report.html: missing"),
    "no lines": (agreed(without("runs.jsonl")), "runs.jsonl: missing"),
    "other lines": (
        lambda files: {**files, "runs.jsonl": files["runs.jsonl"][:-2] + b" \n"},
        "runs.jsonl: not what the manifest says",
    ),
    "another text of the same length": (
        lambda files: {
            **files,
            (path := path_of(files, "01_input.txt")): files[path].replace(b"Blume", b"Wolke"),
        },
        "01_input.txt: not what the manifest says",
    ),
    "another text, and the manifest agrees": (
        agreed(replaced("01_input.txt", b"another text")),
        "01_input.txt: 12 bytes instead of",
    ),
    "another digest in the manifest": (other_digest, "the manifest and the record disagree"),
    "a stamp that is denied": (unstamped, "bytes instead of"),
    "another picture": (agreed(replaced(".png", png("pink"))), "output_image.png: "),
    "metadata changed by hand": (
        agreed(
            lambda files: {
                **files,
                (path := path_of(files, "/metadata.json")): files[path].replace(b"dada", b"dodo"),
            }
        ),
        "metadata.json: the checksum does not match",
    ),
    "metadata of another run": (with_document(run_id=new_id()), "not the name of the folder"),
    "metadata that names other files": (with_document(entities=[]), "completed_outputs"),
    "a number that no message can tell": (
        with_document(seed=2**63),
        "seed: expected a whole number",
    ),
    "a stage that no message can tell": (
        edited(lambda document: document["current_state"].update(stage=2**31)),
        "current_state.stage: expected a whole number",
    ),
    "a step of an output that is not there": (
        edited(
            lambda document: [
                one["payload"].update(output_index=9)
                for one in document["events"]
                if one["kind"] == "stage_started"
            ]
        ),
        "events: an output that is not there",
    ),
    "an entity of an output that is not there": (
        edited(lambda document: document["entities"][0].update(output_index=9)),
        "output_index: an output that is not there",
    ),
    "a final run without an end": (with_document(finished_at=None), "status: no state of a run"),
    "a state that no run has": (with_document(status="not_available"), "status: no state of a run"),
    "a final run with an open output": (
        edited(lambda document: document["outputs"][0].update(status="running")),
        "outputs: no state of an output",
    ),
    "another state in the manifest": (
        lambda files: with_manifest(
            files, runs=[{**json.loads(files["manifest.json"])["runs"][0], "status": "failed"}]
        ),
        "not the run that the manifest names",
    ),
    "a run without files": (
        lambda files: with_manifest(
            files,
            runs=[
                *json.loads(files["manifest.json"])["runs"],
                {"run_id": new_id(), "status": "failed", "checksum": "ab" * 32},
            ],
        ),
        "metadata.json: missing",
    ),
}


@pytest.mark.parametrize("case", CHANGED)
async def test_an_archive_that_was_changed_is_refused(
    world: World, exported: bytes, case: str
) -> None:
    change, told = CHANGED[case]
    await refused(world, zipped(change(unzipped(exported))), told)


async def test_one_bad_run_keeps_the_others_out(world: World, tmp_path: Path) -> None:
    async with world_of("grpc", tmp_path / "many") as source:
        names = [await finished_run(source) for _ in range(3)]
        files = unzipped(await export(source, *names))
    path = next(path for path in files if path.startswith(names[2][5:]) and path.endswith("t.txt"))
    changed = with_manifest({**files, path: b"another text"})
    await refused(world, zipped(changed), "bytes instead of")


async def test_an_archive_packed_anew_is_as_good(world: World, exported: bytes) -> None:
    files = unzipped(exported)
    answer = await take_in(world, zipped(dict(reversed(files.items()))))
    assert len(answer.imported) == 1
