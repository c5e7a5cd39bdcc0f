"""What we add to a job at ComfyUI: `python -m benchmarks.media`.

One fake ComfyUI that works in no time, asked in turn by the best client we can write and by us;
`--quick` for a look, `--json`, `--markdown`. Nothing is asserted. Needs 4 GiB where TMPDIR is,
and curl.
"""

from __future__ import annotations

import asyncio
import sys

from benchmarks.media.large import large_files
from benchmarks.media.scene import scene
from benchmarks.media.small import detection, overhead, rates
from benchmarks.table import Figure, show

MIB = 1024 * 1024


async def _measure(is_quick: bool) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    async with scene() as small:
        figures |= await overhead(small, jobs=50 if is_quick else 400)
        figures |= await rates(small, jobs=64 if is_quick else 320, rounds=2 if is_quick else 5)
        figures |= await detection(small, jobs=100 if is_quick else 1000)
    size = (64 if is_quick else 1024) * MIB
    async with scene(film_bytes=size) as large:
        figures |= await large_files(large, size, rounds=2 if is_quick else 5)
    return figures


if __name__ == "__main__":
    show(asyncio.run(_measure("--quick" in sys.argv[1:])))
