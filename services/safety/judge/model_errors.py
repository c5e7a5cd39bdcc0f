"""What the client of a model server raises, as complaints.

The server's own messages are left out: they may quote the key, the text or the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import openai

from services.kit.errors import ArtlabError
from services.safety.judge.complaints import Complaints

LONGEST_RETRY_AFTER_SECONDS = 3600.0


@contextmanager
def model_errors(complaints: Complaints) -> Iterator[None]:
    """Turn what the client raises inside into an ArtlabError."""
    try:
        yield
    except ArtlabError:
        raise
    except (openai.APITimeoutError, TimeoutError) as error:
        raise complaints.slow() from error
    except openai.APIStatusError as error:
        raise _from_status(error, complaints) from error
    except openai.OpenAIError as error:
        raise complaints.away("cannot be reached") from error
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        # The client builds its types from whatever JSON comes, without looking.
        raise complaints.odd("gave an answer that could not be read") from error


def _from_status(error: openai.APIStatusError, complaints: Complaints) -> ArtlabError:
    status = error.status_code
    told = f"answered with status {status}"
    if status in (401, 403):
        return complaints.not_authorized(told)
    if status == 404:
        return complaints.model_not_found(told)
    if status == 429:
        return complaints.rate_limited(told, _retry_after(error))
    if status >= 500:
        return complaints.away(told)
    if status < 400:
        return complaints.odd(told)
    return complaints.rejected(told)


def _retry_after(error: openai.APIStatusError) -> float | None:
    value = error.response.headers.get("retry-after", "")
    # Dates are allowed there as well; then the default of the kit holds.
    if not (value.isascii() and value.isdigit()):
        return None
    return min(float(value), LONGEST_RETRY_AFTER_SECONDS)
