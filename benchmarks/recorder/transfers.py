"""Large entities: written, read, and what the recorder needs of memory meanwhile."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable

from benchmarks.recorder.bare import (
    copy_and_sync,
    hash_and_write,
    read_and_hash,
    read_only,
)
from benchmarks.recorder.client import Bench, sound_block
from benchmarks.table import Figure

MIB = 1024 * 1024
BLOCK = sound_block(64 * MIB)


def transfers(bench: Bench, size: int, rounds: int) -> dict[str, Figure]:
    """Upload and read one entity of `size` bytes, in turn with the same work done bare."""
    sha256 = _digest(size)
    seconds: dict[str, list[float]] = {}

    def measure(name: str, work: Callable[..., object], *args: object) -> None:
        began = time.perf_counter()
        work(*args)
        seconds.setdefault(name, []).append(time.perf_counter() - began)

    for _ in range(rounds):
        plain, copied = bench.new_path(), bench.new_path()
        run = bench.create_run()
        measure("upload", bench.write, run, BLOCK, size, sha256)
        measure("bare", hash_and_write, plain, BLOCK, size)
        measure("cp", copy_and_sync, plain, copied)
        measure("read", bench.read, f"{run}/entities/1")
        measure("plain read", read_only, plain)
        measure("hashed read", read_and_hash, plain)
        bench.delete_run(run)
        plain.unlink()
        copied.unlink()
    rate = {name: size / MIB / statistics.median(found) for name, found in seconds.items()}

    def against(name: str, other: str, what: str) -> Figure:
        return Figure(rate[name] / rate[other], "x", f"{what}, {rate[other]:.0f} MiB/s")

    what = f"{size // MIB} MiB by gRPC, client in a process of its own"
    return {
        "upload_mib_per_second": Figure(rate["upload"], "MiB/s", what),
        "upload_ratio": against("upload", "bare", "one process that hashes, writes and syncs"),
        "upload_cp_ratio": against("upload", "cp", "cp and sync, which do not hash"),
        "read_mib_per_second": Figure(rate["read"], "MiB/s", what + ", verified"),
        "read_ratio": against("read", "plain read", "a plain read"),
        "read_hashed_ratio": against("read", "hashed read", "a read that hashes"),
    }


def memory(bench: Bench, size: int) -> dict[str, Figure]:
    """How much the recorder's memory grows at most while it takes in one large entity."""
    run = bench.create_run()
    warm = 64 * MIB  # as much as any upload needs
    bench.write(run, BLOCK, warm, _digest(warm))
    bench.delete_run(run)
    run = bench.create_run()
    before = bench.memory_bytes("VmRSS")
    bench.forget_memory_peak()
    bench.write(run, BLOCK, size, _digest(size))
    grown = bench.memory_bytes("VmHWM") - before
    bench.delete_run(run)
    return {
        "upload_memory_mib": Figure(
            grown / MIB, "MiB", f"peak over {before / MIB:.0f} MiB at rest, {size // MIB} MiB sent"
        )
    }


def _digest(size: int) -> str:
    digest = hashlib.sha256()
    for at in range(0, size, len(BLOCK)):
        digest.update(memoryview(BLOCK)[: min(len(BLOCK), size - at)])
    return digest.hexdigest()
