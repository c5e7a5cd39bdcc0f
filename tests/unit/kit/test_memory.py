"""Freed memory stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from services.kit.memory import keep_freed_memory
{call}
def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def chunks():
    return [bytes(256 * 1024 + size) for size in range(16)]
chunks()
before = page_faults()
for _ in range(50):
    chunks()
print(page_faults() - before)
"""


def page_faults(call: str) -> int:
    """How many page faults fifty times sixteen chunks cost in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call=call)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
def test_memory_that_was_freed_is_used_again_without_asking_for_it() -> None:
    assert page_faults("keep_freed_memory()") < page_faults("") / 4
