"""`artlab check-image` as people run it, with the real detector."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.safety.images import encoded, meadow


def artlab(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ARTLAB_")}
    return subprocess.run(
        [sys.executable, "-m", "services.cli", "check-image", *arguments],
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "meadow.png"
    path.write_bytes(encoded(meadow()))
    return path


def test_a_harmless_picture_is_safe(picture: Path) -> None:
    done = artlab(str(picture), "--level", "kids")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{picture}: safe at kids, nudenet:3.4.2\n"


def test_what_could_not_be_checked_is_not_safe(picture: Path) -> None:
    done = artlab(str(picture), ARTLAB_SAFETY_NUDENET="false")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "not checked: IMAGE_JUDGE_MISSING" in done.stderr


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    path.write_text("<html>")
    done = artlab(str(path))
    assert done.returncode == 1
    assert "MEDIA_TYPE_NOT_ALLOWED" in done.stderr
