"""What goes wrong with the server of a vision model, in our words.

The server's own messages are left out: they may quote the key or the picture.
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
from services.safety.judge.vision_answer import odd


@contextmanager
def vision_errors() -> Iterator[None]:
    """Turn what the client raises inside into an ArtlabError."""
    try:
        yield
    except ArtlabError:
        raise
    except (openai.APITimeoutError, TimeoutError) as error:
        raise DeadlineExceeded("IMAGE_JUDGE_TIMEOUT", "the vision model took too long") from error
    except openai.APIStatusError as error:
        raise _from_status(error) from error
    except openai.OpenAIError as error:
        raise Unavailable(
            "IMAGE_JUDGE_UNAVAILABLE", "the vision model cannot be reached"
        ) from error
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        # The client builds its types from whatever JSON comes, without looking.
        raise odd("the vision model's answer could not be read") from error


def _from_status(error: openai.APIStatusError) -> ArtlabError:
    status = error.status_code
    told = f"the vision model's server answered {status}"
    if status in (401, 403):
        return FailedPrecondition("IMAGE_JUDGE_NOT_AUTHORIZED", told)
    if status == 404:
        return FailedPrecondition("IMAGE_JUDGE_MODEL_NOT_FOUND", told)
    if status == 429:
        return ResourceExhausted(
            "IMAGE_JUDGE_RATE_LIMITED", told, retry_after_seconds=_retry_after(error)
        )
    if status >= 500:
        return Unavailable("IMAGE_JUDGE_UNAVAILABLE", told)
    if status < 400:
        return odd(told)
    return FailedPrecondition("IMAGE_JUDGE_REJECTED", told)


def _retry_after(error: openai.APIStatusError) -> float | None:
    value = error.response.headers.get("retry-after", "")
    # Dates are allowed there as well; then the default of the kit holds.
    return min(float(value), 3600.0) if value.isascii() and value.isdigit() else None
