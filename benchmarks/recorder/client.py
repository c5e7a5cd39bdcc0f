"""A real recorder process on a real disk, and the client that asks it."""

from __future__ import annotations

import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from benchmarks.recorder.bare import CHUNK_BYTES
from services.kit.channel import open_sync_channel
from tests.faults.recorder_process import RecorderProcess

# A FLAC says how long it lasts; its frames are not looked at, so that the block may be repeated.
_FLAC = b"fLaC\x80\x00\x00\x22" + bytes(10) + b"\x0a\xc4\x42\xf0" + bytes(20) + b"\xff\xf8"
_TIMEOUT_SECONDS = 600
# In memory, a sync costs nothing: such figures would say nothing.
_NO_DISKS = ("tmpfs", "ramfs", "overlayfs")


class Bench:
    """One recorder, one folder beside it for the raw operations on the same disk."""

    def __init__(self, folder: Path, process: RecorderProcess, channel: grpc.Channel) -> None:
        self.folder = folder
        self.process = process
        self.stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        self._count = 0

    def new_path(self) -> Path:
        """A path of the bare operations that is not in use."""
        self._count += 1
        return self.folder / "bare" / str(self._count)

    def run_folder(self, run: str) -> Path:
        """The folder of a run."""
        return self.folder / "runs" / run.removeprefix("runs/")

    def create_run(self) -> str:
        """Create a run and return its name."""
        return self.stub.CreateRun(create_request(), timeout=10).run.name

    def delete_run(self, run: str) -> None:
        """Delete a run with its bytes."""
        self.stub.DeleteRun(pb.DeleteRunRequest(name=run), timeout=60)

    def write(self, run: str, block: bytes, size: int, sha256: str) -> run_pb2.Entity:
        """Upload `block` again and again up to `size` bytes; return the entity."""
        answer = self.stub.WriteEntity(
            upload_requests(f"{run}/uploads/big", block, size, sha256), timeout=_TIMEOUT_SECONDS
        )
        return answer.entity

    def read(self, entity: str) -> int:
        """Read an entity to its end and return its size in bytes."""
        request = pb.ReadEntityRequest(name=entity, audience=run_pb2.AUDIENCE_RESEARCH)
        parts = self.stub.ReadEntity(request, timeout=_TIMEOUT_SECONDS)
        return sum(len(part.data) for part in parts)

    def memory_bytes(self, field: str) -> int:
        """VmRSS or VmHWM (the peak) of the recorder."""
        status = Path(f"/proc/{self.process.process.pid}/status").read_text()
        line = next(one for one in status.splitlines() if one.startswith(field + ":"))
        return int(line.split()[1]) * 1024

    def forget_memory_peak(self) -> None:
        """Let VmHWM begin anew."""
        Path(f"/proc/{self.process.process.pid}/clear_refs").write_text("5")

    def cpu_seconds(self) -> float:
        """Processor time the recorder has taken so far, in user and kernel."""
        return _cpu_seconds(self.process.process.pid)


@contextmanager
def recorder_bench() -> Iterator[Bench]:
    """Start a recorder on an empty folder of the disk of TMPDIR, and remove everything after."""
    with tempfile.TemporaryDirectory(prefix="artlab-bench-") as place:
        folder = Path(place)
        kind = file_system(folder)
        if kind in _NO_DISKS:
            raise SystemExit(f"{folder} is on {kind}, which is no disk: set TMPDIR to one")
        (folder / "bare").mkdir()
        process = RecorderProcess(folder / "runs", folder / "log")
        try:
            process.wait_until_serving()
            with open_sync_channel(process.target) as channel:
                yield Bench(folder, process, channel)
        finally:
            process.terminate()


def file_system(folder: Path) -> str:
    """The kind of file system a folder lies on, e.g. ``ext2/ext3``."""
    found = subprocess.run(
        ["stat", "-f", "-c", "%T", folder], check=True, capture_output=True, text=True
    )
    return found.stdout.strip()


def create_request() -> pb.CreateRunRequest:
    """A new run with one picture."""
    output = run_pb2.Output(
        index=1, occurrence=1, output_config="image", kind=common_pb2.MEDIA_KIND_IMAGE
    )
    run = run_pb2.Run(
        config_name="dada",
        safety_level=common_pb2.SAFETY_LEVEL_YOUTH,
        user_id="bench",
        outputs=[output],
        expected_entities=["input", "output_image"],
        execution_mode=common_pb2.EXECUTION_MODE_ECO,
    )
    return pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=run)


def record_request(run: str, number: int, data: bytes) -> pb.RecordEntityRequest:
    """A small entity of a run."""
    return pb.RecordEntityRequest(
        upload=f"{run}/uploads/{number}", entity=run_pb2.Entity(type="interception"), data=data
    )


def upload_requests(
    upload: str, block: bytes, size: int, sha256: str
) -> Iterator[pb.WriteEntityRequest]:
    """The messages of one upload, 1 MiB each."""
    for at in range(0, size, CHUNK_BYTES):
        start = at % len(block)
        end = start + min(CHUNK_BYTES, size - at)
        message = pb.WriteEntityRequest(offset=at, data=block[start:end])
        if at == 0:
            message.upload = upload
            message.entity.CopyFrom(run_pb2.Entity(type="output_audio", output_index=1))
        if at + CHUNK_BYTES >= size:
            message.finish = True
            message.digest.CopyFrom(common_pb2.Digest(sha256=sha256, size_bytes=size))
        yield message


def sound_block(size: int) -> bytes:
    """Bytes that are a FLAC, also repeated."""
    pattern = bytes(range(256)) * (size // 256 + 1)
    return (_FLAC + pattern)[:size]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
