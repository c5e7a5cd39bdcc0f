"""Large files: from ComfyUI's socket to a durable entity, and what memory that needs."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Awaitable
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.media.scene import Scene
from benchmarks.table import Figure

MIB = 1024 * 1024
_CONFIG = "ltx_video"
_FRAMES = {"frames": "9"}


async def large_files(scene: Scene, size: int, rounds: int) -> dict[str, Figure]:
    """Films of `size` bytes, in turn through us and through curl and sync."""
    ours: list[float] = []
    curl: list[float] = []
    await _make(scene)
    before = _memory_bytes(scene.media_pid, "VmRSS")
    _forget_peak(scene.media_pid)
    for _ in range(rounds):
        ours.append(await _seconds(_make(scene)))
        curl.append(await _seconds(asyncio.to_thread(_curl, scene)))
    grown = _memory_bytes(scene.media_pid, "VmHWM") - before
    mine, limit = (size / MIB / statistics.median(taken) for taken in (ours, curl))
    what = f"a film of {size // MIB} MiB"
    return {
        "large_file_mib_per_second": Figure(
            mine, "MiB/s", f"{what}, from the request to the durable entity"
        ),
        "large_file_ratio": Figure(mine / limit, "x", f"curl -o and sync, {limit:.0f} MiB/s"),
        "large_file_memory_mib": Figure(
            grown / MIB, "MiB", f"peak of the media service over {before / MIB:.0f} MiB at rest"
        ),
    }


async def _make(scene: Scene) -> None:
    run = await scene.new_run()
    await scene.generate(f"{run}/uploads/output-1", _CONFIG, _FRAMES)
    await scene.delete_run(run)


def _curl(scene: Scene) -> None:
    folder = scene.folder / "comfyui" / "output" / "artlab"
    file = next(path for path in folder.iterdir() if path.suffix == ".mp4")
    query = urlencode({"filename": file.name, "subfolder": "artlab", "type": "output"})
    target = scene.folder / "curled"
    address = f"{scene.comfyui_url}/view?{query}"
    subprocess.run(["curl", "--silent", "--fail", "-o", target, address], check=True)
    subprocess.run(["sync", target], check=True)
    target.unlink()


async def _seconds(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory_bytes(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(one for one in status.splitlines() if one.startswith(field + ":"))
    return int(line.split()[1]) * 1024
