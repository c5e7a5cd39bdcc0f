"""Lists over 100 000 runs: `python -m benchmarks.index [--json]`.

A real recorder over run folders that were made beforehand. The same questions are asked over
1 000 runs, a start is measured against one over an empty root, making the index anew against
reading the same files. Nothing is asserted.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from benchmarks.table import Figure, show
from tests.faults.recorder_process import RecorderProcess
from tests.support.run_folders import write_runs

FEW, MANY = 1_000, 100_000
TIMES = 50
RESEARCH = run_pb2.AUDIENCE_RESEARCH
QUESTIONS: dict[str, dict[str, Any]] = {
    "first_page": {},
    "filtered_page": {
        "user_id": "user-7",
        "states": [run_pb2.RUN_STATE_FAILED],
        "config_names": ["overdrive"],
    },
    "empty_page": {"user_id": "nobody"},
    "text_page": {"text": "blume auf"},
    "rare_text_page": {"text": "nummer 7,"},
}


@contextmanager
def serving(root: Path) -> Iterator[tuple[recorder_pb2_grpc.RecorderServiceStub, float]]:
    """A recorder and the seconds from its start until it served."""
    began = time.perf_counter()
    process = RecorderProcess(root, root.parent / "log")
    try:
        process.wait_until_serving(1200.0)
        took = time.perf_counter() - began
        with grpc.insecure_channel(process.target) as channel:
            yield recorder_pb2_grpc.RecorderServiceStub(channel), took
    finally:
        process.terminate()


def start_seconds(root: Path) -> float:
    """From the start of a process until it serves."""
    with serving(root) as (_, took):
        return took


def ask(stub: recorder_pb2_grpc.RecorderServiceStub) -> dict[str, float]:
    """The median of each question, in ms."""
    requests: dict[str, Any] = {
        name: pb.ListRunsRequest(audience=RESEARCH, filter=pb.RunFilter(**wanted))
        for name, wanted in QUESTIONS.items()
    }
    requests["stats"] = pb.GetRunStatsRequest(audience=RESEARCH)
    found = {}
    for name, request in requests.items():
        call = stub.GetRunStats if name == "stats" else stub.ListRuns
        taken = []
        for _ in range(TIMES):
            began = time.perf_counter()
            call(request, timeout=60)
            taken.append((time.perf_counter() - began) * 1000)
        found[name] = statistics.median(taken)
    return found


def read_all(root: Path) -> float:
    """Seconds to read every metadata.json and every input."""
    began = time.perf_counter()
    for folder in root.iterdir():
        if not folder.name.startswith("."):
            (folder / "metadata.json").read_bytes()
            (folder / "01_input.txt").read_bytes()
    return time.perf_counter() - began


def measure(place: Path) -> dict[str, Figure]:
    """Everything."""
    few, many, empty = place / "few" / "runs", place / "many" / "runs", place / "empty" / "runs"
    for root, count in ((few, FEW), (many, MANY), (empty, 0)):
        root.parent.mkdir()
        write_runs(root, range(count))
    plain = read_all(many)
    with serving(many) as (_, rebuild):
        pass
    with serving(few) as (stub, _):
        of_few = ask(stub)
    with serving(many) as (stub, _):
        of_many = ask(stub)
    start = statistics.median(start_seconds(many) for _ in range(3))
    bare = statistics.median(start_seconds(empty) for _ in range(3))
    index = sum(one.stat().st_size for one in (many / ".index").iterdir())
    figures = {
        f"{name}_ms": Figure(value, "ms", f"{value / of_few[name]:.1f} x the same over {FEW} runs")
        for name, value in of_many.items()
    }
    return figures | {
        "first_page_ratio": Figure(
            of_many["first_page"] / of_few["first_page"], "x", f"over {FEW} runs"
        ),
        "start_s": Figure(start, "s", f"{start / bare:.1f} x a start over nothing, {bare:.2f} s"),
        "rebuild_s": Figure(rebuild, "s", f"start without an index; plain reading {plain:.1f} s"),
        "rebuild_ratio": Figure(rebuild / plain, "x", "reading the same files once"),
        "index_mib": Figure(index / 2**20, "MiB", f"{MANY} runs"),
    }


def main() -> None:
    """Measure in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="artlab-bench-") as place:
        show(measure(Path(place)))


if __name__ == "__main__":
    main()
