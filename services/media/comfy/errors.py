"""What can go wrong with ComfyUI, as errors of ours. Nothing a person typed is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead

from services.kit.errors import Cancelled, FailedPrecondition, ResourceExhausted, Unavailable

MAX_DETAIL_CHARACTERS = 400
UNAVAILABLE = "COMFY_UNAVAILABLE"
RETRY_SECONDS = 2.0


class Unreachable(Unavailable):
    """No connection could be opened: nothing was sent.

    `refused`: the machine answered that nobody listens, so the process is gone; else the network
    may be what is away.
    """

    def __init__(self, url: str, *, refused: bool = False) -> None:
        self.refused = refused
        super().__init__(
            UNAVAILABLE, f"no ComfyUI answers at {url}", retry_after_seconds=RETRY_SECONDS
        )


class Unanswered(Unavailable):
    """Sent, but no answer came: it may or may not have been taken in."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            UNAVAILABLE, f"ComfyUI at {url} gave no answer: {why}", retry_after_seconds=1.0
        )


def protocol_error(what: str, **metadata: str) -> FailedPrecondition:
    """COMFY_PROTOCOL: the answer is none that ComfyUI gives."""
    return FailedPrecondition("COMFY_PROTOCOL", f"ComfyUI answered {what}", metadata=metadata)


def lost(url: str, why: str) -> Unavailable:
    """COMFY_LOST: accepted, then gone; making it again is safe."""
    return Unavailable("COMFY_LOST", f"ComfyUI at {url} lost the job: {why}")


def stalled(url: str) -> Unavailable:
    """COMFY_STALLED: HTTP is well and the worker is dead."""
    return Unavailable(
        "COMFY_STALLED",
        f"ComfyUI at {url} takes jobs in and runs none; restart it",
        retry_after_seconds=RETRY_SECONDS,
    )


def no_output(why: str, **metadata: str) -> FailedPrecondition:
    """COMFY_NO_OUTPUT: it ended well and left no file."""
    return FailedPrecondition("COMFY_NO_OUTPUT", why, metadata=metadata)


def interrupted(node: str) -> Cancelled:
    """COMFY_INTERRUPTED: stopped at ComfyUI by somebody else."""
    return Cancelled(
        "COMFY_INTERRUPTED", "the job was interrupted at ComfyUI", metadata={"node": node}
    )


def taken_out() -> Cancelled:
    """COMFY_INTERRUPTED: it waited, and somebody else took it out of the queue."""
    return Cancelled("COMFY_INTERRUPTED", "the job was taken out of ComfyUI's queue")


def rejected(status: int, kind: str, metadata: Mapping[str, str]) -> FailedPrecondition:
    """The prompt was not accepted: COMFY_REJECTED, COMFY_FORBIDDEN or COMFY_TOO_LARGE."""
    if status == 403:
        return FailedPrecondition(
            "COMFY_FORBIDDEN",
            "ComfyUI refuses this host; start it with --listen, or use the host name it expects",
        )
    if status == 413:
        return FailedPrecondition("COMFY_TOO_LARGE", "the workflow is larger than ComfyUI accepts")
    facts = {"status": str(status), "type": kind[:80], **metadata}
    return FailedPrecondition(
        "COMFY_REJECTED", "ComfyUI did not accept the workflow", metadata=facts
    )


def execution_failed(
    node: str, node_type: str, exception_type: str, detail: str
) -> FailedPrecondition | ResourceExhausted:
    """COMFY_OOM (worth another try) or COMFY_EXECUTION; the detail is cut short."""
    metadata = {
        "node": node[:80],
        "node_type": node_type[:80],
        "exception_type": exception_type[:120],
        "detail": detail[:MAX_DETAIL_CHARACTERS],
    }
    text = f"{exception_type} {detail}".lower()
    if "outofmemory" in text or "out of memory" in text or "allocation on device" in text:
        metadata |= {
            "retryable": "true",
            "advice": "use a smaller size or fewer steps, or free the card's memory",
        }
        return ResourceExhausted(
            "COMFY_OOM", "the graphics card ran out of memory", metadata=metadata
        )
    metadata |= {"retryable": "false", "advice": "see ComfyUI's own log for this node"}
    return FailedPrecondition("COMFY_EXECUTION", "a node of the workflow failed", metadata=metadata)


@contextmanager
def exchange_errors(url: str) -> Iterator[None]:
    """Turn what http.client raises after the connection was opened into Unanswered."""
    try:
        yield
    except TimeoutError as error:
        raise Unanswered(url, "time over") from error
    except (IncompleteRead, OSError) as error:
        raise Unanswered(url, "connection lost") from error
    except HTTPException as error:
        raise protocol_error("no valid HTTP") from error
