"""The parts that hosted backends share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.kit.near import parse_base_url
from services.media.backends.hosted.errors import from_status, retry_after
from services.media.backends.hosted.options import nearest
from services.media.backends.hosted.spool import OnceOnly
from services.media.spool import usual_folder
from tests.fakes.hosted.server import KEY
from tests.support.hosted import (
    PROMPT,
    account,
)


@pytest.mark.parametrize(
    ("base_url", "leaves"), [("https://api.openai.com/v1", True), ("http://10.0.0.5/v1", False)]
)
def test_an_operator_can_forbid_what_leaves_the_house(base_url: str, leaves: bool) -> None:
    reason = account(base_url, local_only=True).reason()
    assert ("ARTLAB_MEDIA_LOCAL_ONLY" in (reason or "")) == leaves


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0", None),
        ("-3", None),
        ("soon", None),
        ("999999", 3600),
        ("٣", None),
        ("", None),
    ],
)
def test_retry_after_is_read_with_care(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}) == seconds


def test_retry_after_may_be_a_date() -> None:
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) is None
    assert retry_after({"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}) == 3600


@pytest.mark.parametrize("told", [float("nan"), float("inf"), True, "20", None, -1])
def test_an_estimated_time_that_is_none_is_left_out(told: object) -> None:
    assert retry_after({}, {"estimated_time": told}) in (None, 3600)


@pytest.mark.parametrize(
    ("offered", "sides", "chosen"),
    [
        (("1024x1024", "1536x1024", "1024x1536"), (600, 1000), "1024x1536"),
        (("1024x1024", "1536x1024"), (1024, 1024), "1024x1024"),
        ((), (1024, 1024), None),
        (("1024x1024",), (0, 1024), None),
    ],
)
def test_the_nearest_shape_is_chosen(
    offered: tuple[str, ...], sides: tuple[int, int], chosen: str | None
) -> None:
    assert nearest(offered, dict(zip(("width", "height"), sides, strict=True)), "x") == chosen
    assert nearest(offered, {}, "x") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example/v1",
        "ftp://x",
        "https://u:p@x/v1",
        "https://x/v1?key=1",
        "x",
        "http://x:y",
    ],
)
def test_an_address_that_gives_texts_away_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_base_url(url)


def test_addresses_of_apis_lose_their_last_slash() -> None:
    assert parse_base_url("https://api.example/v1/") == "https://api.example/v1"
    assert parse_base_url("http://127.0.0.1:7801") == "http://127.0.0.1:7801"
    assert parse_base_url("") == ""


@pytest.mark.parametrize(
    ("told", "parameter"),
    [("quality", "quality"), ("image.size", "image.size"), (KEY, ""), (PROMPT, ""), (7, "")],
)
def test_only_names_are_taken_from_what_a_server_says_is_wrong(
    told: object, parameter: str
) -> None:
    error = from_status("the API", "KEY", 400, {}, {"error": {"param": told, "code": "bad"}})
    assert error.reason == "BACKEND_REJECTED"
    assert error.metadata["parameter"] == parameter


def test_bytes_that_can_be_had_once_rest_on_a_disk_and_not_in_memory(tmp_path: Path) -> None:
    for folder, where in ((None, usual_folder()), (tmp_path, tmp_path)):
        spool = OnceOnly(1000, folder)
        spool.write(b"a picture")
        held = [f"/proc/self/fd/{one}" for one in os.listdir("/proc/self/fd")]
        names = [os.readlink(one) for one in held if os.path.islink(one)]
        assert [name for name in names if name.startswith(f"{where}/") and "(deleted)" in name]
        with spool.open() as chunks:
            assert b"".join(chunks) == b"a picture"
        del spool
