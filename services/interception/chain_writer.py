"""Several writers, each for when those before it cannot: a fallback chain.

A text is only begun anew while nothing of it was shown. Who declines to write is not gone round:
the next model would be looked for until one is found that writes anything.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from services.interception.domain.writing import WritingTask
from services.interception.ports import Waiting, Writer, Written
from services.kit.errors import ArtlabError
from services.kit.log import facts

log = logging.getLogger(__name__)

# What is the server's or the model's trouble, not the text's.
PASSED_ON = frozenset(
    {
        "LLM_UNAVAILABLE",
        "LLM_MODEL_LOADING",
        "LLM_PROTOCOL",
        "LLM_TIMEOUT",
        "LLM_BUSY",
        "LLM_RATE_LIMITED",
        "LLM_NOT_AUTHORIZED",
        "LLM_MODEL_NOT_FOUND",
        "LLM_REJECTED",
        "LLM_EMPTY_OUTPUT",
    }
)


@dataclass(frozen=True, slots=True)
class Passed:
    """A writer that did not write, and why: a reason of an error, or ECO or LOCAL_ONLY."""

    name: str
    reason: str


class ChainWriter:
    """Makes a text by the first of its writers that can; says which could not.

    Args:
        writers: at least one, in order.
        passed: those that may not be asked at all.
    """

    def __init__(self, writers: Sequence[Writer], passed: Sequence[Passed] = ()) -> None:
        self.name = ",".join(writer.name for writer in writers)
        self._writers = tuple(writers)
        self._passed = tuple(passed)

    async def write(self, task: WritingTask) -> AsyncGenerator[str | Waiting | Written, None]:
        """See `Writer`. Raises what the last one raises."""
        passed = list(self._passed)
        for writer in self._writers:
            begun = False
            try:
                async with aclosing(writer.write(task)) as updates:
                    async for update in updates:
                        begun = begun or isinstance(update, str)
                        yield _told(update, passed) if isinstance(update, Written) else update
                return
            except ArtlabError as error:
                if begun or writer is self._writers[-1] or error.reason not in PASSED_ON:
                    raise
                log.warning(
                    "going on to the next writer",
                    extra=facts(writer=writer.name, reason=error.reason),
                )
                passed.append(Passed(writer.name, error.reason))


def _told(written: Written, passed: Sequence[Passed]) -> Written:
    if not passed:
        return written
    told = {
        "fallback_from": ",".join(each.name for each in passed),
        "fallback_reason": ",".join(each.reason for each in passed),
    }
    return replace(written, parameters={**written.parameters, **told})
