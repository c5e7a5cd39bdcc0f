"""The recorder's settings: defaults and bounds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.kit.settings import Settings, SettingsError, load_settings
from services.recorder.settings import RecorderSettings


def test_the_defaults_are_those_of_the_docs() -> None:
    settings = load_settings("recorder", RecorderSettings, {})
    assert settings.root == Path("pipeline_runs")
    assert settings.port == 17806
    assert settings.max_entity_bytes == 2 * 1024**3
    assert settings.upload_ttl_seconds == 3600
    assert settings.run_limit_seconds == 3600
    assert settings.reserve_bytes == 16 * 1024**2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("MAX_ENTITY_BYTES", "-1"),
        ("RESERVE_BYTES", "-1"),
        ("MAX_ENTITY_BYTES", "lots"),
        ("UPLOADS_PER_RUN", "0"),
        ("UPLOAD_TTL_SECONDS", "0"),
        ("RUN_LIMIT_SECONDS", "90000"),
        ("RUN_LIMIT_SECONDS", "nan"),
        ("ROOOT", "x"),
        ("TRACKER", ""),
        ("TRACKER", "mysql://u@h/d"),
        ("TRACKER", "sqlite:///somewhere"),
        ("TRACKER", "postgresql://u:p@ss@h/d"),
        ("TRACKER", "postgresql://u@h:port/d"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"ARTLAB_RECORDER_{name}"):
        load_settings("recorder", RecorderSettings, {f"ARTLAB_RECORDER_{name}": value})


def test_the_tracker_is_embedded_unless_an_address_is_given() -> None:
    for value in ("sqlite", "none", "postgresql://u:p%40ss@h/d?sslmode=require"):
        settings = load_settings("recorder", RecorderSettings, {"ARTLAB_RECORDER_TRACKER": value})
        assert settings.tracker.get_secret_value() == value
        assert "p%40ss" not in repr(settings)
    default = load_settings("recorder", RecorderSettings, {})
    assert default.tracker.get_secret_value() == "sqlite"


def test_a_wrong_address_of_a_tracker_is_refused_without_its_password() -> None:
    for value in ("postgresql://u:hunter2@x@h/d", "mysql://u:hunter2@h/d", "postgres:hunter2"):
        with pytest.raises(SettingsError, match="ARTLAB_RECORDER_TRACKER") as caught:
            load_settings("recorder", RecorderSettings, {"ARTLAB_RECORDER_TRACKER": value})
        assert "hunter2" not in str(caught.value)


def test_every_setting_is_in_the_docs() -> None:
    page = Path(__file__).parents[3] / "docs" / "care.md"
    table = page.read_text(encoding="utf-8").partition("## Settings")[2]
    told = re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)
    own = RecorderSettings.model_fields.keys() - Settings.model_fields.keys()
    assert sorted(told) == sorted(name.upper() for name in own)


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in RecorderSettings.model_fields.values())
