"""Which hosted backends there are, by the settings alone."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.kit.clock import SystemClock
from services.kit.settings import SettingsError, load_settings
from services.media.catalogue import load_output_catalogue
from services.media.hosted_backends import hosted_backends
from services.media.ports import Backend
from services.media.settings import MediaSettings

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = {
    "swarmui_image": "set ARTLAB_MEDIA_SWARMUI_URL to use SwarmUI",
    "gpt_image": "set ARTLAB_MEDIA_OPENAI_API_KEY (or ARTLAB_MEDIA_OPENAI_API_KEY_FILE)",
    "openrouter_image": "set ARTLAB_MEDIA_OPENROUTER_API_KEY (or ",
    "hf_inference_image": "set ARTLAB_MEDIA_HUGGINGFACE_API_KEY (or ",
    "replicate_image": "set ARTLAB_MEDIA_REPLICATE_API_KEY (or ",
}


async def reasons(environ: dict[str, str], *more: str) -> dict[str, str | None]:
    """Why each shipped config, and these more, cannot run with these settings."""
    settings = load_settings("media", MediaSettings, environ)
    configs = load_output_catalogue(settings.configs).configs
    async with AsyncExitStack() as stack:
        made = hosted_backends(settings, SystemClock(), stack, max_media_bytes=1024, spool=None)
        backends: dict[str, Backend] = {backend.name: backend for backend in made}
        return {
            name: await backends[configs[name].backend].unavailable_reason(configs[name])
            for name in (*SHIPPED, *more)
        }


async def test_without_settings_every_shipped_config_says_what_to_set() -> None:
    found = await reasons({})
    for name, says in SHIPPED.items():
        assert (found[name] or "").startswith(says)


async def test_a_key_in_the_environment_or_in_a_file_makes_a_config_available(
    tmp_path: Path,
) -> None:
    (tmp_path / "key").write_text("r8_key\n")
    found = await reasons(
        {
            "ARTLAB_MEDIA_OPENAI_API_KEY": "sk-key",
            "ARTLAB_MEDIA_REPLICATE_API_KEY_FILE": str(tmp_path / "key"),
        }
    )
    assert {name for name, reason in found.items() if reason is None} == {
        "gpt_image",
        "replicate_image",
    }


async def test_nothing_leaves_the_house_when_that_is_forbidden() -> None:
    keys = {
        f"ARTLAB_MEDIA_{api}_API_KEY": "key"
        for api in ("OPENAI", "OPENROUTER", "HUGGINGFACE", "REPLICATE")
    }
    found = await reasons({**keys, "ARTLAB_MEDIA_LOCAL_ONLY": "true"})
    del found["swarmui_image"]
    assert all("ARTLAB_MEDIA_LOCAL_ONLY" in (reason or "") for reason in found.values())
    assert set((await reasons(keys)).values()) == {None, SHIPPED["swarmui_image"]}
    gateway = {
        "ARTLAB_MEDIA_CODE_BASE_URL": "http://127.0.0.1:4000/v1",
        "ARTLAB_MEDIA_CODE_MODEL": "m",
        "ARTLAB_MEDIA_CODE_IS_REMOTE": "true",
    }
    assert (await reasons(gateway, "p5js_code"))["p5js_code"] is None
    found = await reasons({**gateway, "ARTLAB_MEDIA_LOCAL_ONLY": "true"}, "p5js_code")
    assert "ARTLAB_MEDIA_LOCAL_ONLY" in (found["p5js_code"] or "")


def test_a_lock_and_what_it_forbids_are_not_set_together() -> None:
    both = {"ARTLAB_MEDIA_LOCAL_ONLY": "true", "ARTLAB_MEDIA_ALLOW_REMOTE_COMFYUI": "true"}
    with pytest.raises(SettingsError, match="ARTLAB_MEDIA_ALLOW_REMOTE_COMFYUI"):
        load_settings("media", MediaSettings, both)


@pytest.mark.parametrize("url", ["http://api.example/v1", "https://key@api.example", "nonsense"])
def test_a_wrong_address_ends_the_start_with_its_variable(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings("media", MediaSettings, {"ARTLAB_MEDIA_OPENAI_BASE_URL": url})
    assert "ARTLAB_MEDIA_OPENAI_BASE_URL" in str(caught.value)
    assert "key@" not in str(caught.value)


def test_the_clients_of_apis_are_not_imported_unless_a_key_is_set() -> None:
    code = (
        "import sys, services.media.__main__\n"
        "print(sorted(m for m in ('openai', 'httpx2') if m in sys.modules))"
    )
    # A fixed program of our own.
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr
