"""What the recorder costs over what it must cost: `python -m benchmarks.recorder`.

One real recorder process on a real disk, one client; every figure is measured in turn with the
same work done bare on the same disk. `--quick` for a look, `--json`, `--markdown`. Nothing is
asserted. Needs 5 GiB where TMPDIR is.
"""

from __future__ import annotations

import sys

from benchmarks.recorder.client import recorder_bench
from benchmarks.recorder.commits import commit_latency, commits_per_second
from benchmarks.recorder.transfers import MIB, memory, transfers
from benchmarks.recorder.watching import watch_latency
from benchmarks.table import show


def _main() -> None:
    is_quick = "--quick" in sys.argv[1:]
    with recorder_bench() as bench:
        figures = {
            **commit_latency(bench, runs=20 if is_quick else 100),
            **commits_per_second(bench, rounds=2 if is_quick else 5),
            **watch_latency(bench, commits=100 if is_quick else 400),
            **transfers(bench, (128 if is_quick else 1024) * MIB, rounds=2 if is_quick else 5),
            **memory(bench, (256 if is_quick else 2048) * MIB),
        }
    show(figures)


if __name__ == "__main__":
    _main()
