"""Short pauses between attempts."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.interception.model_writer.BACKOFF_SECONDS", 0.01)
