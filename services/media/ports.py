"""What the media service needs from a backend, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from services.kit.ids import UploadName
from services.media.domain.output_config import OutputConfig, Value

RENDER_PHASES = ("queued", "executing", "downloading", "recording")


@dataclass(frozen=True, slots=True)
class RenderJob:
    """One output to make. Everything in it is parsed and within bounds."""

    upload: UploadName
    output_index: int
    config: OutputConfig
    prompt: str
    seed: int
    recipe: str
    # A value for every slot of the config, defaults filled in; without prompt and seed.
    values: Mapping[str, Value]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class RenderProgress:
    """Where a job stands; fraction 0.0 to 1.0 of the backend's part."""

    phase: str
    fraction: float = 0.0
    queue_position: int = 0
    instance: str = ""
    node: str = ""
    remaining_seconds: float | None = None


Report = Callable[[RenderProgress], None]


@dataclass(frozen=True, slots=True)
class Product:
    """What a backend made, not yet moved.

    `read` opens the bytes from the start, as often as it is called, in whatever thread: the
    recording may have to begin anew. It yields chunks of at most 256 KiB and raises an ArtlabError
    when the bytes end early or differ from what was announced.
    """

    read: Callable[[], AbstractContextManager[Iterator[bytes]]]
    backend: str
    model: str
    size_bytes: int | None = None
    # Facts as the backend reported them; recorded with the entity.
    metadata: Mapping[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """Makes outputs of the configs that name it."""

    name: str

    async def unavailable_reason(self, config: OutputConfig) -> str | None:
        """Why this config cannot run here now, for people; None when it can."""
        ...

    async def render(self, job: RenderJob, report: Report) -> Product:
        """Make one output. Cancelling the task stops the work at the backend as well.

        Raises an ArtlabError with a reason of docs/errors.md.
        """
        ...
