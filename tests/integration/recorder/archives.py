"""Runs to be exported, and what comes out, for the tests of exports and imports."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from PIL import Image

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.status import remote_errors
from services.recorder.store.codec import encode_document
from tests.integration.recorder.harness import World, entity, stream

RESEARCH = run_pb2.AUDIENCE_RESEARCH
IDEA = "Eine Blume <b>auf</b> der Wiese & mehr"
TEXT = "Die Wiese trägt die Blume als Hut."
VERDICT: Mapping[str, Any] = {
    "stage": 3,
    "decision": "safe",
    "language": "de",
    "verdicts": [{"purpose": "media_prompt", "decision": "safe", "checks": ["wordlist:1"]}],
}


def png(colour: str = "teal", side: int = 32) -> bytes:
    """A real picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG")
    return buffer.getvalue()


async def finished_run(
    world: World,
    *,
    picture: bytes | None = None,
    idea: str = IDEA,
    run_id: str | None = None,
    before_the_end: Callable[[str], Awaitable[None]] | None = None,
    **changes: Any,
) -> str:
    """Record a run to its end as the pipeline does, and return its name."""
    name = await world.create(run_id, **changes)
    used = [common_pb2.ModelUse(task="media", backend="builtin", model="painter/1")]
    await world.record(f"{name}/uploads/a", idea.encode(), entity("input", audience=1))
    text = entity("interception", stage=2, audience=1, metadata={"to_language": "de"})
    await world.record(f"{name}/uploads/b", TEXT.encode(), text)
    verdict = entity("safety_pre_output", stage=3, output_index=1, audience=3)
    await world.record(f"{name}/uploads/c", json.dumps(VERDICT).encode(), verdict)
    await world.call(
        "SetProgress", pb.SetProgressRequest(name=name, stage=4, step="s", output_index=1)
    )
    made = entity(stage=4, output_index=1, audience=1, metadata={"seed": "7"}, models_used=used)
    await world.write(stream(f"{name}/uploads/d", picture or png(), chunk=256 * 1024, of=made))
    if before_the_end is not None:
        await before_the_end(name)
    output = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_SUCCEEDED)
    await world.call("FinalizeOutput", pb.FinalizeOutputRequest(name=name, output=output))
    await world.finalize(name, run_pb2.RUN_STATE_SUCCEEDED)
    return name


async def export(world: World, *names: str, **wish: Any) -> bytes:
    """Export runs; the errors are those of the recorder."""
    values = {"audience": RESEARCH, "format": pb.EXPORT_FORMAT_ZIP, **wish}
    request = pb.ExportRunsRequest(names=names, **values)
    parts = []
    with remote_errors("recorder"):
        async for answer in world.stub.ExportRuns(request, timeout=20):
            assert len(answer.data) <= 256 * 1024
            parts.append(answer.data)
    return b"".join(parts)


async def take_in(world: World, archive: bytes, piece: int = 100_000) -> pb.ImportRunsResponse:
    """Import an archive; the errors are those of the recorder."""

    async def requests() -> AsyncIterator[pb.ImportRunsRequest]:
        for at in range(0, len(archive), piece):
            yield pb.ImportRunsRequest(data=archive[at : at + piece])

    with remote_errors("recorder"):
        answer = await world.stub.ImportRuns(requests(), timeout=20)
    return cast(pb.ImportRunsResponse, answer)


def unzipped(archive: bytes) -> dict[str, bytes]:
    """The files of an archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {info.filename: opened.read(info) for info in opened.infolist()}


def zipped(files: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> bytes:
    """An archive of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items() if isinstance(files, Mapping) else files:
            made.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def with_manifest(files: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    """The files with a manifest that agrees with them, but for the changes."""
    manifest = json.loads(files["manifest.json"])
    del manifest["checksum"]
    known = {one["path"]: one for one in manifest["files"]}
    manifest["files"] = [
        {
            **known.get(path, {}),
            "path": path,
            "size_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for path, data in files.items()
        if path != "manifest.json"
    ]
    return {**files, "manifest.json": encode_document({**manifest, **changes})}


def run_folders(root: Path) -> dict[str, bytes]:
    """Every file of every run below a root."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.relative_to(root).parts[0].startswith(".")
    }


def new_id() -> str:
    """A run id."""
    return str(uuid.uuid4())
