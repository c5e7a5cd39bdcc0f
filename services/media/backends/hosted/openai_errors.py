"""The `openai` client over our own bounded HTTP, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import openai

from services.kit.errors import ArtlabError
from services.media.backends.hosted.account import Account
from services.media.backends.hosted.api import Api, transport_errors
from services.media.backends.hosted.errors import Lost, from_status, protocol_error


def client_of(account: Account, api: Api) -> openai.AsyncOpenAI:
    """A client that asks once; closing it closes the connections of `api`."""
    return openai.AsyncOpenAI(
        base_url=account.base_url,
        # The client insists on one; without a key of ours the header is not sent.
        api_key=account.key.get_secret_value() or "none",
        max_retries=0,
        http_client=api.http,
    )


@contextmanager
def client_errors(account: Account) -> Iterator[None]:
    """Turn what the client raises inside into an ArtlabError."""
    title = account.title
    try:
        yield
    except ArtlabError:
        raise
    except openai.APIStatusError as error:
        body = {"error": error.body} if isinstance(error.body, dict) else None
        headers = error.response.headers
        raise from_status(title, account.key_setting, error.status_code, headers, body) from error
    except openai.APIConnectionError as error:
        raise _transport(title, error) from error
    except (
        openai.OpenAIError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        RecursionError,
    ) as error:
        # The client builds its types from whatever JSON comes, without looking.
        raise protocol_error(title, "could not be read") from error


def _transport(title: str, error: openai.APIConnectionError) -> ArtlabError:
    cause = error.__cause__
    if isinstance(cause, ArtlabError):
        # Of our own transport: too large, or compressed.
        return cause
    try:
        with transport_errors(title):
            raise cause if isinstance(cause, httpx2.HTTPError) else error
    except ArtlabError as ours:
        return ours
    except openai.OpenAIError:
        return Lost(title, "the connection broke")
