"""What goes wrong with a model server, in our words.

    LLM_UNAVAILABLE      not reachable, overloaded, or gone in the middle     (may be repeated)
    LLM_MODEL_LOADING    says that its model is still being loaded            (may be repeated)
    LLM_PROTOCOL         answered, but not as the protocol says               (may be repeated)
    LLM_TIMEOUT          silent, or slower than the pass may take
    LLM_RATE_LIMITED     wants us to come back later                          (then)
    LLM_NOT_AUTHORIZED   refuses our key
    LLM_MODEL_NOT_FOUND  does not have the model
    LLM_REJECTED         refuses the request

The messages of the server are left out: they may quote the text or the key.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.kit.errors import (
    ArtlabError,
    DeadlineExceeded,
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
)

LONGEST_RETRY_AFTER_SECONDS = 3600.0
# Of the body of an error, to see whether it speaks of loading.
MAX_ERROR_BYTES = 64 * 1024


def silence_error() -> DeadlineExceeded:
    """The server said nothing for too long."""
    return DeadlineExceeded("LLM_TIMEOUT", "the model server was silent too long")


def protocol_error(what: str) -> Unavailable:
    """The server answered, but not as it should."""
    return Unavailable("LLM_PROTOCOL", what)


def status_error(status: int, headers: Mapping[str, str], body: bytes = b"") -> ArtlabError:
    """What an HTTP status other than 200 means. The body is only searched for one word."""
    if status in (401, 403):
        return FailedPrecondition("LLM_NOT_AUTHORIZED", f"the model server answered {status}")
    if status == 404:
        return FailedPrecondition("LLM_MODEL_NOT_FOUND", "the model server has no such model")
    if status == 429:
        return ResourceExhausted(
            "LLM_RATE_LIMITED",
            "the model server wants fewer requests",
            retry_after_seconds=_retry_after(headers),
        )
    if status >= 500:
        # llama.cpp answers so from its start until its model is loaded.
        if status == 503 and b"loading" in body.lower():
            return Unavailable("LLM_MODEL_LOADING", "the model server is loading its model")
        return Unavailable(
            "LLM_UNAVAILABLE",
            f"the model server answered {status}",
            retry_after_seconds=_retry_after(headers),
        )
    if status < 400:
        return protocol_error(f"the model server answered {status}")
    return FailedPrecondition("LLM_REJECTED", f"the model server answered {status}")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    # Dates are allowed there as well; then the default of the kit holds.
    if not (value.isascii() and value.isdigit()):
        return None
    return min(float(value), LONGEST_RETRY_AFTER_SECONDS)
