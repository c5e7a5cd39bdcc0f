"""What a transport and a parser raise, in our words. Imports the HTTP client, which is slow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from services.interception.providers.errors import protocol_error, silence_error
from services.kit.errors import ArtlabError, Unavailable


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn what a transport, a parser or a timeout raises inside into an ArtlabError."""
    try:
        yield
    except ArtlabError:
        raise
    except (httpx2.TimeoutException, TimeoutError) as error:
        raise silence_error() from error
    except (httpx2.TransportError, OSError) as error:
        raise Unavailable("LLM_UNAVAILABLE", "the model server cannot be reached") from error
    except (
        httpx2.HTTPError,
        httpx2.InvalidURL,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        RecursionError,
    ) as error:
        # Types are built from whatever JSON comes, without looking.
        raise protocol_error("the model server's answer could not be read") from error
