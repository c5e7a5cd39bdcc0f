"""Whether a run costs the same beside many others that have ended."""

from __future__ import annotations

import gc

from benchmarks.orchestrator.runs import percentiles
from benchmarks.orchestrator.scene import scene
from benchmarks.table import Figure

FEW = 1_000


async def beside_stored(stored: int, runs: int) -> dict[str, Figure]:
    """One run after another beside few runs, and beside so many."""
    few = await _p50(FEW, runs)
    many = await _p50(stored, runs)
    return {
        "stored_run_p50_ms": Figure(many, "ms", f"a run beside {stored} that have ended"),
        "stored_run_ratio": Figure(many / few, "x", f"the same beside {FEW}, {few:.1f} ms"),
    }


async def _p50(stored: int, runs: int) -> float:
    async with scene(stored) as made:
        gc.collect()
        return percentiles([await made.run() for _ in range(runs)])[0]
