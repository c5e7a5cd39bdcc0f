"""Recorded bytes over HTTP: right type, right headers, whole or visibly not."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import httpx
import pytest

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import run_pb2
from services.kit.errors import DataLoss, Unavailable
from tests.integration.gateway.world import RUN, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMAGE = ("sd35_large", common_pb2.MEDIA_KIND_IMAGE)
PICTURE = os.urandom(700_001)


@pytest.fixture
def run(world: World) -> str:
    """A run with text, three passes, and three outputs: made, blocked, not yet checked."""
    recorder = world.recorder
    recorder.create(RUN, IMAGE, IMAGE, IMAGE)
    recorder.commit(RUN, "input", "Blüte".encode(), stage=0)
    for number in (1, 2, 3):
        recorder.commit(RUN, "interception_pass", b"pass %d" % number, stage=2, pass_number=number)
    recorder.commit(RUN, "interception", b"first", stage=2)
    recorder.commit(RUN, "interception", b"second", stage=2)
    for index in (1, 2, 3):
        recorder.commit(
            RUN,
            "output_image",
            PICTURE[index:],
            media_type="image/png",
            suffix="png",
            stage=4,
            output_index=index,
        )
    recorder.output(RUN, 1, run_pb2.RUN_STATE_SUCCEEDED)
    error = run_pb2.RunError(reason="SAFETY_BLOCKED", message="kids.x", stage=4)
    recorder.output(RUN, 2, run_pb2.RUN_STATE_BLOCKED, error)
    return f"/api/pipeline/{RUN}"


def reason(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    return str(found["reason"])


@pytest.mark.parametrize("path", ["entities/1", "entity/input"])
async def test_erased_bytes_are_gone_for_good_and_the_list_says_so(
    world: World, run: str, path: str
) -> None:
    listed = (await world.client.get(f"{run}/entities")).json()["entities"][0]
    assert listed["available"] is True
    tag = (await world.client.get(f"{run}/{path}")).headers["etag"]
    world.recorder.erase(RUN, 1, "SAFETY_BLOCKED")
    for headers in ({}, {"If-None-Match": tag}):
        response = await world.client.get(f"{run}/{path}", headers=headers)
        assert response.status_code == 410
        assert reason(response) == "ENTITY_ERASED"
    erased = (await world.client.get(f"{run}/entities")).json()["entities"][0]
    assert erased == listed | {"available": False}


async def test_an_erased_entity_hides_no_older_one_of_its_type(world: World, run: str) -> None:
    world.recorder.erase(RUN, 6, "SAFETY_BLOCKED")
    response = await world.client.get(f"{run}/entity/interception")
    assert (response.status_code, response.content) == (200, b"first")


async def test_bytes_come_with_their_type_and_every_protective_header(
    world: World, run: str
) -> None:
    response = await world.client.get(f"{run}/entity/output_image")
    assert response.status_code == 200
    assert response.content == PICTURE[1:]
    headers = response.headers
    assert headers["content-type"] == "image/png"
    assert headers["content-length"] == str(len(PICTURE) - 1)
    assert headers["content-location"] == f"{run}/entities/7"
    assert headers["content-disposition"] == 'inline; filename="07_output_image.png"'
    assert headers["etag"] == f'"{hashlib.sha256(PICTURE[1:]).hexdigest()}"'
    assert headers["accept-ranges"] == "bytes"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["cross-origin-resource-policy"] == "same-site"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "private, no-store"


async def test_the_latest_of_a_type_is_the_default(world: World, run: str) -> None:
    response = await world.client.get(f"{run}/entity/interception")
    assert response.text == "second"
    assert response.headers["content-location"] == f"{run}/entities/6"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


async def test_a_pass_can_be_selected(world: World, run: str) -> None:
    assert (await world.client.get(f"{run}/entity/interception_pass")).text == "pass 3"
    assert (await world.client.get(f"{run}/entity/interception_pass?pass=2")).text == "pass 2"
    missing = await world.client.get(f"{run}/entity/interception_pass?pass=9")
    assert missing.status_code == 404
    assert reason(missing) == "ENTITY_NOT_FOUND"


@pytest.mark.parametrize(
    "address", ["entity/output_image?output=2", "entity/output_image?output=3", "entities/8"]
)
async def test_an_output_that_is_blocked_or_unchecked_is_never_served(
    world: World, run: str, address: str
) -> None:
    for method in ("GET", "HEAD"):
        response = await world.client.request(method, f"{run}/{address}")
        assert response.status_code == 404
    assert reason(await world.client.get(f"{run}/{address}")) == "ENTITY_WITHHELD"
    assert world.recorder.bytes_sent == 0


async def test_the_list_names_everything_with_an_address(world: World, run: str) -> None:
    listed = (await world.client.get(f"{run}/entities")).json()
    assert listed["run_id"] == RUN
    found = listed["entities"]
    assert [e["sequence"] for e in found] == list(range(1, 10))
    assert found[1]["pass"] == 1
    assert found[6] == {
        "sequence": 7,
        "type": "output_image",
        "filename": "07_output_image.png",
        "media_type": "image/png",
        "size_bytes": len(PICTURE) - 1,
        "sha256": hashlib.sha256(PICTURE[1:]).hexdigest(),
        "stage": 4,
        "output_index": 1,
        "pass": 0,
        "audience": "student",
        "timestamp": found[6]["timestamp"],
        "available": True,
        "url": f"{run}/entities/7",
    }
    assert [e["available"] for e in found[6:]] == [True, False, False]
    assert (await world.client.get(found[0]["url"])).text == "Blüte"


async def test_a_known_etag_is_304(world: World, run: str) -> None:
    tag = (await world.client.get(f"{run}/entities/1")).headers["etag"]
    for value in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        response = await world.client.get(f"{run}/entities/1", headers={"If-None-Match": value})
        assert response.status_code == 304
        assert response.content == b""
        assert response.headers["etag"] == tag
    other = await world.client.get(f"{run}/entities/1", headers={"If-None-Match": '"x"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        ("bytes=699000-", 699_000, 699_999),
        ("bytes=-10", 699_990, 699_999),
        ("bytes=-9999999", 0, 699_999),
        ("bytes=300000-9999999", 300_000, 699_999),
    ],
)
async def test_one_range_is_206(world: World, run: str, asked: str, first: int, last: int) -> None:
    response = await world.client.get(f"{run}/entities/7", headers={"Range": asked})
    assert response.status_code == 206
    assert response.headers["content-range"] == f"bytes {first}-{last}/700000"
    assert response.headers["content-length"] == str(last - first + 1)
    assert response.content == PICTURE[1:][first : last + 1]


@pytest.mark.parametrize(
    "asked", ["bytes=abc", "bytes=5-1", "bytes=0-1,3-4", "items=0-1", "bytes=-", "bytes=٠-١"]
)
async def test_what_is_no_single_range_is_ignored(world: World, run: str, asked: str) -> None:
    headers = [(b"Range", asked.encode())]
    response = await world.client.get(f"{run}/entities/7", headers=headers)
    assert response.status_code == 200
    assert len(response.content) == 700_000


@pytest.mark.parametrize("asked", ["bytes=700000-", "bytes=-0"])
async def test_a_range_past_the_end_is_416(world: World, run: str, asked: str) -> None:
    response = await world.client.get(f"{run}/entities/7", headers={"Range": asked})
    assert response.status_code == 416
    assert response.headers["content-range"] == "bytes */700000"
    assert reason(response) == "RANGE_NOT_SATISFIABLE"


async def test_a_range_of_an_older_body_gets_the_whole_new_one(world: World, run: str) -> None:
    headers = {"Range": "bytes=0-4", "If-Range": '"old"'}
    response = await world.client.get(f"{run}/entities/7", headers=headers)
    assert response.status_code == 200
    headers["If-Range"] = response.headers["etag"]
    assert (await world.client.get(f"{run}/entities/7", headers=headers)).status_code == 206


async def test_head_answers_without_reading_the_bytes(world: World, run: str) -> None:
    response = await world.client.head(f"{run}/entities/7")
    assert response.status_code == 200
    assert response.headers["content-length"] == "700000"
    assert world.recorder.calls["ReadEntity"] == 0


async def test_an_interrupted_read_goes_on_where_it_stopped(world: World, run: str) -> None:
    away = Unavailable("DRAINING", "stopping")
    world.recorder.read_cuts = [(300_000, away), (100, away), (0, away)]
    response = await world.client.get(f"{run}/entities/7")
    assert response.status_code == 200
    assert response.content == PICTURE[1:]
    assert world.recorder.calls["ReadEntity"] >= 4


async def test_damaged_bytes_are_410_when_nothing_was_sent(world: World, run: str) -> None:
    world.recorder.read_cuts = [(0, DataLoss("ENTITY_CORRUPT", "digest differs"))]
    response = await world.client.get(f"{run}/entities/1")
    assert response.status_code == 410
    assert reason(response) == "ENTITY_CORRUPT"


async def test_damaged_bytes_midway_cut_the_connection(world: World, run: str) -> None:
    world.recorder.read_cuts = [(400_000, DataLoss("ENTITY_CORRUPT", "digest differs"))]
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await world.client.get(f"{run}/entities/7")
    assert (await world.client.get(f"{run}/entities/1")).status_code == 200


async def test_a_recorder_that_stays_away_midway_cuts_the_connection(
    world: World, run: str
) -> None:
    away = Unavailable("DRAINING", "stopping")
    world.recorder.read_cuts = [(400_000, away), *[(0, away)] * 50]
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await world.client.get(f"{run}/entities/7")


async def test_status_is_the_document_byte_for_byte(world: World, run: str) -> None:
    response = await world.client.get(f"{run}/status")
    assert response.content == b'{"events": 12}\n'
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    tag = response.headers["etag"]
    again = await world.client.get(f"{run}/status", headers={"If-None-Match": tag})
    assert again.status_code == 304
    world.recorder.stage(RUN, 4, "media_generation", 3)
    later = await world.client.get(f"{run}/status", headers={"If-None-Match": tag})
    assert later.status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "entity/OUTPUT_IMAGE",
        "entity/1e3",
        "entity/output_image%00",
        "entity/06_output_image.png",
        "entity/output_exe",
        "entity/-1",
        "entity/%D9%A1",
        "entity/safety",
        "entities/0",
        "entities/-1",
        "entities/%D9%A1",
        "entities/1%0a",
        "entities/01",
        "entities/99",
        "entities/1e3",
        "status%0a",
        "status;jsessionid=1",
        "status/",
        "metadata.json",
    ],
)
async def test_names_of_nothing_are_404(world: World, run: str, address: str) -> None:
    response = await world.client.get(f"{run}/{address}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("output=0", "output"),
        ("output=x", "output"),
        ("output=%D9%A1", "output"),
        ("output=1%0a", "output"),
        ("pass=-1", "pass"),
        ("page=3", "page"),
    ],
)
async def test_a_wrong_or_unknown_selector_is_named(
    world: World, run: str, query: str, field: str
) -> None:
    response = await world.client.get(f"{run}/entity/output_image?{query}")
    assert response.status_code == 422
    assert response.json()["field"] == field


async def test_cancel_ends_the_run_and_repeats_without_harm(world: World, run: str) -> None:
    for _ in range(2):
        response = await world.client.post(f"{run}/cancel")
        assert response.status_code == 200
        assert response.json() == {"run_id": RUN, "status": "cancelled"}


async def test_a_recorder_that_talks_nonsense_is_no_mistake_of_the_client(
    world: World, run: str
) -> None:
    world.recorder.runs[RUN].run.name = "runs/secret"
    response = await world.client.get(f"{run}/entities")
    assert response.status_code == 500
    assert response.json()["detail"] == "internal error"
    assert "secret" not in response.text
