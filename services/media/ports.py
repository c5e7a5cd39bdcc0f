"""What the media service needs from a backend, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from services.kit.ids import UploadName
from services.media.domain.output_config import OutputConfig, Value


@dataclass(frozen=True, slots=True)
class InputImage:
    """A picture a person brought: checked, without metadata, at most 2048 px a side."""

    read: Callable[[], AbstractContextManager[Iterator[bytes]]]
    media_type: str
    sha256: str
    size_bytes: int


class Standing(Protocol):
    """Whether a job is still to be done here."""

    @property
    def is_taken_over(self) -> bool:
        """Somebody else follows it now: what is at work at the backend is left there."""
        ...

    async def confirm(self) -> None:
        """To be called before something is begun after a wait.

        Raises FailedPrecondition FENCED (another driver has the run) and Cancelled MEDIA_CANCELLED
        (nobody waits for it any more).
        """
        ...


class Undisputed:
    """The standing of a job that nobody else can have."""

    is_taken_over = False

    async def confirm(self) -> None:
        """See `Standing.confirm`."""


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
    # Whose job it is, so that a queue can be fair; empty means nobody in particular.
    user_id: str = ""
    # A picture for every image slot of the config.
    images: Mapping[str, InputImage] = field(default_factory=dict)
    standing: Standing = field(default_factory=Undisputed)
    # Nothing of it may reach a machine but one's own.
    local_only: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """A small picture of work in progress, which nobody has checked: JPEG, at most 64 KiB."""

    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class RenderProgress:
    """Where a job stands; fraction 0.0 to 1.0 of the backend's part."""

    phase: str
    fraction: float = 0.0
    queue_position: int = 0
    instance: str = ""
    node: str = ""
    remaining_seconds: float | None = None
    # One more each time the backend lost the job and it was handed in anew.
    attempt: int = 1
    # New with this report; None says nothing about earlier ones.
    preview: Preview | None = None


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
    # The further files of the same output, in order: of a batch, or of several nodes.
    others: tuple[Product, ...] = ()
    # As in RenderProgress.
    attempt: int = 1


class Backend(Protocol):
    """Makes outputs of the configs that name it."""

    name: str

    @property
    def remote(self) -> bool:
        """Whether its jobs reach, or may reach, a machine that is not one's own."""
        ...

    async def unavailable_reason(self, config: OutputConfig) -> str | None:
        """Why this config cannot run here now, for people; None when it can."""
        ...

    async def render(self, job: RenderJob, report: Report) -> Product:
        """Make one output. Cancelling the task stops the work at the backend as well.

        Raises an ArtlabError with a reason of docs/errors.md.
        """
        ...


InstanceState = Literal["ready", "busy", "down", "stalled", "draining"]


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """One server of a backend as it is now; the words are those of media.proto."""

    url: str
    state: InstanceState
    # For people: why it gets no jobs, or what it did last.
    reason: str = ""
    # Jobs of ours it runs; jobs of ours handed in and not begun.
    running: int = 0
    waiting: int = 0
    # All its jobs, those of others included.
    queue_length: int = 0
    version: str = ""
    # Memory of its first device; 0 when unknown.
    vram_total_bytes: int = 0
    vram_free_bytes: int = 0
    # Output configs that lack something here, with what they lack.
    unfit_configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """One backend as it is now; `reason` says, for people, why it is not available."""

    name: str
    available: bool
    reason: str = ""
    instances: tuple[InstanceStatus, ...] = ()
    # Jobs of ours that wait for a place on any instance.
    waiting: int = 0


@runtime_checkable
class InstancePool(Protocol):
    """What a backend with several instances has as well.

    The others need nothing: `BackendList` tells of them what their `unavailable_reason` says.
    """

    async def status(self, configs: Collection[OutputConfig]) -> BackendStatus:
        """The backend and each instance, for these configs, which are its own."""
        ...

    async def set_draining(self, url: str, draining: bool) -> InstanceStatus:
        """Give an instance no more jobs, or jobs again.

        Raises NotFound INSTANCE_NOT_FOUND.
        """
        ...


@runtime_checkable
class Resuming(Protocol):
    """What a backend has as well when it remembers, beyond a restart, what it handed in."""

    async def began(self, upload: UploadName) -> bool:
        """Whether the output of this upload may be at work, or done, at the backend already.

        Then it is asked for even while the backend can take nothing new.
        """
        ...

    async def adopt(self, job: RenderJob) -> Product | None:
        """Return what an earlier attempt at this job has made; None when there is no such thing.

        Nothing is begun, and what is still at work is waited for a few seconds at most.
        """
        ...

    async def stop(self, uploads: Collection[UploadName]) -> bool:
        """Stop what is at work for any of these, whoever began it, within 2 s.

        Whether that stopped something. What this process follows itself need not be among it.
        """
        ...
