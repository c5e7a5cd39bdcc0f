"""What Replicate is asked, and what becomes of a prediction and its files."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.kit.errors import ArtlabError, Unavailable
from services.media.backends.hosted.outside import OutsideFiles
from services.media.backends.hosted.patience import Patience
from services.media.backends.replicate.options import ReplicateOptions
from tests.fakes.hosted.replicate import FakeReplicate
from tests.fakes.hosted.server import Cut, Drop, Good, Never, Status
from tests.support.eventually import eventually
from tests.support.hosted import (
    PROMPT,
    REPLICATE,
    Pauses,
    ignore,
    make_job,
    read,
)

WIDE = {"width": 1920, "height": 1080}


def with_options(**options: Any) -> Any:
    given = ReplicateOptions(model="black-forest-labs/flux-schnell", **options)
    return REPLICATE.config(backend_options={"options": given})


async def test_replicate_is_asked_with_the_names_its_model_has() -> None:
    config = with_options(
        inputs={"seed": "", "prompt": "text"},
        parameters={"output_format": "png"},
        aspect_ratios=("1:1", "16:9"),
    )
    async with FakeReplicate() as fake, REPLICATE.connected(fake) as backend:
        product = await backend.render(make_job(config, values=WIDE), ignore)
    asked = {"text": PROMPT, "output_format": "png", "aspect_ratio": "16:9"}
    assert fake.requests == [{"version": "black-forest-labs/flux-schnell", "input": asked}]
    assert fake.headers[0]["Prefer"] == "wait=60"
    assert fake.headers[0]["Cancel-After"] == "20s"
    assert product.metadata["predict_seconds"] == "2.5"
    assert product.metadata["prediction"] in fake.predictions


@pytest.mark.parametrize("line", [Drop(), Cut(), Status(504)], ids=["drop", "cut", "504"])
async def test_a_prediction_whose_answer_was_lost_is_found_and_not_paid_for_twice(
    line: Any,
) -> None:
    async with FakeReplicate() as fake, REPLICATE.connected(fake) as backend:
        fake.script(line, Good())
        product = await backend.render(make_job(REPLICATE.config()), ignore)
        assert await read(product) == fake.picture
    # A 504 without a prediction behind it is asked again.
    assert fake.generated == 1


async def test_a_prediction_of_another_job_is_never_taken_for_ours() -> None:
    gate = asyncio.Event()
    async with FakeReplicate() as fake, REPLICATE.connected(fake) as backend:
        config = REPLICATE.config()
        fake.script(Good(gate), Drop())
        first = asyncio.create_task(backend.render(make_job(config), ignore))
        await eventually(lambda: fake.looks > 0)
        second = asyncio.create_task(backend.render(make_job(config), ignore))
        await eventually(lambda: fake.generated == 2)
        gate.set()
        products = await asyncio.gather(first, second)
    assert len({product.metadata["prediction"] for product in products}) == 2
    assert fake.generated == 2


async def test_an_earlier_prediction_with_the_same_input_is_not_handed_out_again() -> None:
    async with FakeReplicate() as fake, REPLICATE.connected(fake) as backend:
        config = REPLICATE.config()
        first = await backend.render(make_job(config), ignore)
        fake.script(Status(504), Good())
        second = await backend.render(make_job(config), ignore)
    assert first.metadata["prediction"] != second.metadata["prediction"]
    assert fake.generated == 2


async def test_a_prediction_that_was_not_answered_yet_is_cancelled_as_well() -> None:
    async with FakeReplicate() as fake:
        fake.script(Drop())
        pauses = Pauses()
        async with REPLICATE.connected(fake, patience=Patience(sleep=pauses)) as backend:
            task = asyncio.create_task(backend.render(make_job(REPLICATE.config()), ignore))
            await asyncio.wait_for(fake.begun.wait(), 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        (prediction,) = fake.predictions.values()
        assert prediction["status"] == "canceled"


async def test_looking_at_a_prediction_survives_a_bad_gateway() -> None:
    async with FakeReplicate(failing_looks=2) as fake, REPLICATE.connected(fake) as backend:
        product = await backend.render(make_job(REPLICATE.config()), ignore)
        assert await read(product) == fake.picture
    assert fake.generated == 1


async def test_a_prediction_cancelled_over_there_says_so() -> None:
    async with FakeReplicate() as fake, REPLICATE.connected(fake) as backend:
        fake.script(Never())
        task = asyncio.create_task(backend.render(make_job(REPLICATE.config()), ignore))
        await eventually(lambda: fake.looks > 2)
        next(iter(fake.predictions.values()))["status"] = "canceled"
        with pytest.raises(ArtlabError) as caught:
            await task
    assert (caught.value.code, caught.value.reason) == ("CANCELLED", "BACKEND_INTERRUPTED")


async def test_all_files_of_a_prediction_come_along() -> None:
    async with FakeReplicate(outputs=3) as fake, REPLICATE.connected(fake) as backend:
        product = await backend.render(make_job(REPLICATE.config()), ignore)
        assert len(product.others) == 2
        for one in (product, *product.others):
            assert await read(one) == fake.picture


async def test_a_file_that_breaks_off_can_be_begun_anew() -> None:
    async with FakeReplicate(failing_files=1) as fake, REPLICATE.connected(fake) as backend:
        product = await backend.render(make_job(REPLICATE.config()), ignore)
        with pytest.raises(Unavailable) as caught:
            await read(product)
        assert caught.value.reason == "BACKEND_FILE_CUT"
        assert await read(product) == fake.picture


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/files",
        "http://169.254.169.254/latest",
        "https://user:pw@replicate.delivery/files",
        "https://replicate.delivery.evil.example/files",
        "ftp://replicate.delivery/files",
        "file:///etc",
        "https://[::1]/files",
        "//replicate.delivery/files",
        "https://replicate.delivery:99999/files",
    ],
)
async def test_a_file_elsewhere_is_not_fetched(url: str) -> None:
    async with FakeReplicate(output_url=url) as fake, REPLICATE.connected(fake) as backend:
        with pytest.raises(ArtlabError) as caught:
            await backend.render(make_job(REPLICATE.config()), ignore)
    assert caught.value.reason == "BACKEND_OUTPUT_REFUSED"
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "0.0.0.0",
        "[64:ff9b::a00:1]",
        "[64:ff9b:1::a00:1]",
        "[2002:a00:1::1]",
        "[::a00:1]",
        "[fec0::1]",
    ],
)
def test_a_host_with_a_private_address_is_refused_whatever_its_name(host: str) -> None:
    files = OutsideFiles("the API", (host.strip("[]"),), 1000)
    with pytest.raises(ArtlabError) as caught, files.file(f"https://{host}/x.png").open():
        pass
    assert caught.value.reason == "BACKEND_OUTPUT_REFUSED"
