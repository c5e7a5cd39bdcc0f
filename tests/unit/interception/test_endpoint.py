from __future__ import annotations

import pytest

from services.interception.providers.endpoint import Endpoint
from services.kit.errors import Unavailable


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:11434/v1",
        "http://localhost:8080/v1",
        "http://[::1]:8080/v1",
        "http://192.168.1.20/v1",
        "http://10.0.0.7:8000/v1",
        "http://172.20.0.3:8000/v1",
        "http://169.254.10.10/v1",
        "http://[fd00::1]/v1",
    ],
)
async def test_our_own_addresses_are_local(url: str) -> None:
    assert await Endpoint(url).is_local()
    assert not await Endpoint(url, declared_remote=True).is_local()


@pytest.mark.parametrize(
    "url",
    [
        "https://8.8.8.8/v1",
        "https://[2001:4860:4860::8888]/v1",
        "https://[::ffff:8.8.8.8]/v1",
        "http://0.0.0.0:80/v1",
        "http://172.32.0.1/v1",
        "http://224.0.0.1/v1",
    ],
)
async def test_other_addresses_are_not(url: str) -> None:
    assert not await Endpoint(url).is_local()


async def test_a_name_nobody_knows_is_unavailable_and_not_local() -> None:
    with pytest.raises(Unavailable) as caught:
        await Endpoint("http://no-such-host.invalid/v1").is_local()
    assert caught.value.reason == "LLM_UNAVAILABLE"
