"""Which addresses of ComfyUI are accepted."""

from __future__ import annotations

import pytest

from services.kit.clock import SystemClock
from services.kit.errors import InvalidArgument
from services.media.comfy import ComfyBackend, parse_address


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8188", "http://127.0.0.1:8188"),
        ("http://127.0.0.1:8188/", "http://127.0.0.1:8188"),
        (" http://localhost:8188 ", "http://localhost:8188"),
        ("http://comfyui:8188", "http://comfyui:8188"),
        ("http://192.168.1.20:8188", "http://192.168.1.20:8188"),
        ("http://10.0.0.5", "http://10.0.0.5:80"),
        ("https://gpu.local", "https://gpu.local:443"),
        ("http://[::1]:8188", "http://[::1]:8188"),
        ("http://[fd00::5]:8188", "http://[fd00::5]:8188"),
    ],
)
def test_near_hosts_are_accepted(text: str, url: str) -> None:
    assert parse_address(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:8188",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "http://",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:x",
        "http://user:secret@127.0.0.1:8188",
        "http://127.0.0.1:8188/prompt",
        "http://127.0.0.1:8188?x=1",
        "http://127.0.0.1:8188#x",
        "http://[::1:8188",
        # Neither this machine nor a private network.
        "http://8.8.8.8:8188",
        "http://example.org:8188",
        "http://[2001:4860:4860::8888]:8188",
        # Where clouds serve their machine's keys; everywhere; several.
        "http://169.254.169.254",
        "http://0.0.0.0:8188",
        "http://224.0.0.1:8188",
    ],
)
def test_other_addresses_are_refused_and_the_setting_is_named(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_address(text)
    assert caught.value.reason == "INVALID_COMFYUI_URL"
    assert caught.value.field == "ARTLAB_MEDIA_COMFYUI_URLS"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["https://example.org", "http://8.8.8.8:8188"])
def test_far_hosts_are_accepted_where_that_is_wanted(text: str) -> None:
    assert parse_address(text, allow_remote=True)


def test_the_backend_refuses_a_wrong_address_before_anything_starts() -> None:
    with pytest.raises(InvalidArgument):
        ComfyBackend(["http://8.8.8.8"], max_media_bytes=1, clock=SystemClock())
