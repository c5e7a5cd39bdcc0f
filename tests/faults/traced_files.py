"""A recorder process whose every use of a file name is written down by strace while it serves."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.disturbed import Stub
from tests.faults.every_request import a_run
from tests.faults.recorder_process import REPOSITORY, RecorderProcess
from tests.support.eventually import eventually

# Each thread has a file of its own, so that no line is torn; strace is a grandchild, so that the
# process we start and end is the recorder. A filter in the kernel keeps all other calls untouched.
_STRACE = ["strace", "-D", "-ff", "--seccomp-bpf", "-y", "-qq", "-s", "8192", "-e", "signal=none"]
_LINE = re.compile(r"(\w+)\((.*)\) += (.*)", re.DOTALL)
_TEXT = r'"((?:[^"\\]|\\.)*)"(?:\.\.\.)?'
_AT = re.compile(r"(AT_FDCWD|\d+)(?:<([^>]*)>)?, " + _TEXT)
_ANY_TEXT = re.compile(_TEXT)
_STAMPED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/metadata\.json")
_RESULT = re.compile(r"\d+<(.*)>$", re.DOTALL)


@dataclass(frozen=True)
class FileCall:
    """One system call that took a name."""

    line: str
    call: str
    arguments: str
    result: str

    def faults(self, root: str) -> list[str]:
        """What is wrong with it when nothing outside of `root` may be touched by name."""
        if "AT_EMPTY_PATH" in self.arguments and ', "",' in self.arguments:
            return []  # about an open descriptor, not a name
        places, names = _AT.findall(self.arguments), _ANY_TEXT.findall(self.arguments)
        is_look = "stat" in self.call
        if (is_look or "O_RDONLY" in self.arguments) and all(map(_is_source, names)):
            return []  # Python quotes itself when it describes an error
        if all(_is_of_database(name, root, is_look) for name in names):
            return []
        found = []
        if len(places) != len(names) or not places:
            found.append("a name without a folder it is relative to")
        for _, folder, name in places:
            if folder != root and not folder.startswith(f"{root}/"):
                found.append(f"relative to {folder or 'the working directory'}")
            # Whether a run has changed is asked of all of them; that is looked at, never opened.
            is_stamp = is_look and _STAMPED.fullmatch(name) is not None
            if ("/" in name or name in ("", "..")) and not is_stamp:
                found.append("not a plain name")
        # The folder itself is no link.
        if self.call.startswith("open") and "O_NOFOLLOW" not in self.arguments and names != ["."]:
            found.append("follows a link")
        if is_look and "AT_SYMLINK_NOFOLLOW" not in self.arguments:
            found.append("follows a link")
        opened = _RESULT.match(self.result)
        if opened and opened[1] != root and not opened[1].startswith(f"{root}/"):
            found.append(f"opened {opened[1]}")
        return found


def _is_source(name: str) -> bool:
    is_ours = name.startswith((f"{REPOSITORY}/", f"{sys.base_prefix}/", f"{sys.prefix}/"))
    return is_ours and name.endswith(".py") and "/../" not in name


def _is_of_database(name: str, root: str, is_look: bool) -> bool:
    # SQLite takes whole paths and looks at each folder on the way; whatever is asked of the
    # recorder, they are the same.
    folder = re.escape(root) + r"/\.(index|tracker)"
    is_above = is_look and f"{root}/.index/".startswith(f"{name}/")
    return is_above or re.fullmatch(folder + r"(/\w+\.sqlite[.a-z-]*)?", name) is not None


class TracedRecorder:
    """The process and what it has done with names since `forget`."""

    def __init__(self, folder: Path) -> None:
        self.root = (folder / "runs").resolve()
        self._traces = folder / "trace"
        self._traces.mkdir()
        under = [*_STRACE, "-e", "trace=%file", "-o", str(self._traces / "t")]
        self.process = RecorderProcess(self.root, folder / "log", under=under)
        self._seen: dict[Path, int] = {}
        self.is_warm = False

    def forget(self) -> None:
        """Begin anew: what was done so far does not count."""
        self._seen = {path: path.stat().st_size for path in self._traces.iterdir()}

    def calls(self) -> list[FileCall]:
        """Every call since then that took a name."""
        found = []
        for path in self._traces.iterdir():
            text = path.read_bytes()[self._seen.get(path, 0) :].decode(errors="backslashreplace")
            for line in text.splitlines():
                if (parts := _LINE.fullmatch(line)) is not None:
                    found.append(FileCall(line, *parts.groups()))
        return found

    def faults(self) -> list[str]:
        """What it did since then that it must not do: the reason and the line."""
        root = str(self.root)
        return [f"{why}: {one.line}" for one in self.calls() for why in one.faults(root)]


@contextmanager
def traced_recorder(folder: Path) -> Iterator[TracedRecorder]:
    """A traced recorder that serves."""
    traced = TracedRecorder(folder)
    try:
        traced.process.wait_until_serving()
        yield traced
    finally:
        traced.process.kill()


async def is_clean(traced: TracedRecorder, stub: Stub) -> None:
    """Nothing that it did since the start of this test was wrong, and we saw what it did."""
    last = await a_run(stub)
    run_id = last.removeprefix("runs/")

    def is_seen() -> bool:
        return any(f'"{run_id}"' in one.line for one in traced.calls())

    await eventually(is_seen, what="the last request in the trace")
    faults = traced.faults()
    assert not faults, "\n".join(faults[:20])
