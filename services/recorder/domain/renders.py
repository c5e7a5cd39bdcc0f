"""Outputs that can be found again by the digest of everything that decided their bytes. Pure.

The media service records it with each file of an output, as `render_digest`.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.recorder.domain.entity import Entity
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import RunState

RENDER_DIGEST = "render_digest"


def renders_of(run: Run) -> frozenset[str]:
    """The digests of the succeeded outputs of a run, all of whose files have one and are there."""
    return frozenset(digest for output in run.outputs if (digest := _digest(run, output.index)))


def find_render(run: Run, digest: str) -> Sequence[Entity]:
    """The files of the run's newest such output with this digest; none where there is none."""
    for output in reversed(run.outputs):
        if _digest(run, output.index) == digest:
            return _files(run, output.index)
    return ()


def _digest(run: Run, output_index: int) -> str | None:
    if run.outputs[output_index - 1].state is not RunState.SUCCEEDED:
        return None
    files = _files(run, output_index)
    # Files that were made in different ways are no output to make again.
    digests = {one.draft.metadata.get(RENDER_DIGEST) for one in files}
    if len(digests) != 1 or any(one.is_erased for one in files):
        return None
    return digests.pop()


def _files(run: Run, output_index: int) -> Sequence[Entity]:
    return [
        one for one in run.entities if one.type.is_output and one.draft.output_index == output_index
    ]
