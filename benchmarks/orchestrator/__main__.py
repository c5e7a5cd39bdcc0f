"""What a run costs over what it must cost: `python -m benchmarks.orchestrator`.

Six real services on a real disk with their own instant backends; `--quick` for a look, `--stored N`
for the costs beside N runs that are there already (default 10 000, aim 100 000), `--json`,
`--markdown`. Nothing is asserted. Needs 100 MiB where TMPDIR is, and 1 GiB for each 100 000 runs.
"""

from __future__ import annotations

import argparse
import asyncio

from benchmarks.orchestrator.queues import queue_latency
from benchmarks.orchestrator.runs import overhead, processor, rates
from benchmarks.orchestrator.scene import scene
from benchmarks.orchestrator.stored import FEW, beside_stored
from benchmarks.table import Figure, show


async def _measure(is_quick: bool, stored: int) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    async with scene() as made:
        figures |= await overhead(made, runs=50 if is_quick else 300)
        figures |= await rates(made, seconds=3.0 if is_quick else 15.0)
        figures |= await processor(made, runs=50 if is_quick else 400)
    figures |= await queue_latency(runs=30 if is_quick else 200)
    figures |= await beside_stored(stored, runs=30 if is_quick else 200)
    return figures


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orchestrator", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--stored", type=int, default=10 * FEW)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    show(asyncio.run(_measure(arguments.quick, arguments.stored)))


if __name__ == "__main__":
    main()
