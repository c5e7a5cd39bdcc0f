from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.cli import log_files
from services.cli.log_files import begin_log, bound_log, open_log, tail


def test_a_log_over_its_bound_is_moved_aside_while_its_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "MAX_LOG_BYTES", 10)
    path = tmp_path / "media.log"
    begin_log(path)
    descriptor = open_log(path)
    try:
        os.write(descriptor, b"0123456789\n")
        bound_log(path)
        os.write(descriptor, b"after\n")
    finally:
        os.close(descriptor)
    assert path.read_bytes() == b"after\n"
    assert (tmp_path / "media.log.1").read_bytes() == b"0123456789\n"


def test_a_log_within_its_bound_stays(tmp_path: Path) -> None:
    path = tmp_path / "media.log"
    begin_log(path)
    path.write_text("line\n")
    bound_log(path)
    assert path.read_text() == "line\n"
    assert not (tmp_path / "media.log.1").exists()


def test_the_tail_is_the_last_lines_whatever_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "media.log"
    path.write_bytes(b"x" * 100_000 + b"\n" + b"\n".join(b"%d \xff" % n for n in range(50)))
    assert tail(path, 3) == ["47 \ufffd", "48 \ufffd", "49 \ufffd"]


def test_a_log_that_is_not_there_has_no_tail(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log") == []


def test_nobody_else_may_read_a_log(tmp_path: Path) -> None:
    path = tmp_path / "media.log"
    begin_log(path)
    assert path.stat().st_mode & 0o077 == 0
