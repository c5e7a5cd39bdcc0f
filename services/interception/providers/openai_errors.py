"""What goes wrong with a model server, in our words.

    LLM_UNAVAILABLE      not reachable, overloaded, or gone in the middle     (may be repeated)
    LLM_PROTOCOL         answered, but not as the protocol says               (may be repeated)
    LLM_TIMEOUT          silent, or slower than the pass may take
    LLM_RATE_LIMITED     wants us to come back later
    LLM_NOT_AUTHORIZED   refuses our key
    LLM_MODEL_NOT_FOUND  does not have the model
    LLM_REJECTED         refuses the request

The messages of the server are left out: they may quote the text or the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import openai

from services.kit.errors import (
    ArtlabError,
    DeadlineExceeded,
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
)


def protocol_error(what: str) -> Unavailable:
    """The server answered, but not as it should."""
    return Unavailable("LLM_PROTOCOL", what)


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn what the client raises inside into an ArtlabError."""
    try:
        yield
    except ArtlabError:
        raise
    except (openai.APITimeoutError, TimeoutError) as error:
        raise DeadlineExceeded("LLM_TIMEOUT", "the model server was silent too long") from error
    except openai.APIConnectionError as error:
        raise Unavailable("LLM_UNAVAILABLE", "the model server cannot be reached") from error
    except openai.APIStatusError as error:
        raise _from_status(error) from error
    except openai.OpenAIError as error:
        raise Unavailable("LLM_UNAVAILABLE", "the model server reported an error") from error
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        # The client builds its types from whatever JSON comes, without looking.
        raise protocol_error("the model server's answer could not be read") from error


def _from_status(error: openai.APIStatusError) -> ArtlabError:
    status = error.status_code
    if status in (401, 403):
        return FailedPrecondition("LLM_NOT_AUTHORIZED", f"the model server answered {status}")
    if status == 404:
        return FailedPrecondition("LLM_MODEL_NOT_FOUND", "the model server has no such model")
    if status == 429:
        return ResourceExhausted(
            "LLM_RATE_LIMITED",
            "the model server wants fewer requests",
            retry_after_seconds=_retry_after(error),
        )
    if status >= 500:
        return Unavailable("LLM_UNAVAILABLE", f"the model server answered {status}")
    if status < 400:
        return protocol_error(f"the model server answered {status}")
    return FailedPrecondition("LLM_REJECTED", f"the model server answered {status}")


def _retry_after(error: openai.APIStatusError) -> float | None:
    value = error.response.headers.get("retry-after", "")
    # Dates are allowed there as well; then the default of the kit holds.
    return min(float(value), 3600.0) if value.isascii() and value.isdigit() else None
