"""What goes wrong, told to the fake before or while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Script:
    """Behaviour of a fake; every field may be changed at any time. All defaults: nothing is wrong.

    `..._at` fields name a class of node, at whose execution it happens.
    """

    node_seconds: float = 0.0
    step_seconds: float = 0.0
    # Before the first step after a start or /free: the model comes onto the card.
    load_seconds: float = 0.0
    # Files of exactly this size (from 100 000) instead of pictures of the size asked for.
    output_bytes: int | None = None
    # A file that every output is, by a second name of the same bytes; its suffix is theirs.
    output_file: Path | None = None

    # The history is written this long after execution_success was sent.
    history_delay_seconds: float = 0.0
    history_evicted: bool = False
    # Changes the outputs before they go into the history.
    outputs: Callable[[dict[str, Any]], dict[str, Any]] | None = None

    fail_at: str | None = None
    failure: tuple[str, str] = ("ValueError", "something is wrong with this node")
    hang_at: str | None = None
    interruptible: bool = True
    # Jobs are taken in and never run, while HTTP is well.
    dead_worker: bool = False
    # Half of a file is written, then the process is gone (recording 31).
    killed_saving: bool = False

    # Kinds of frames that get lost; "*" loses all but the greeting.
    lose_frames: frozenset[str] = frozenset()
    drop_socket_at: str | None = None
    huge_frame_at: str | None = None
    odd_frames_at: str | None = None
    no_websocket: bool = False
    # Where GET /ws is sent on to, as by a proxy that was broken into.
    websocket_at: str = ""
    # Pings of clients are not answered, as by a network that swallows everything.
    answers_pings: bool = True
    # At this class of node: so many previews of so many bytes.
    previews_at: str | None = None
    previews: tuple[int, int] = (30, 10_000_000)

    # What samplers show after each step of a prompt that asks for previews; none left out.
    preview: bytes = b""
    # Versions before 0.3.45 know nothing of sockets that want previews with metadata.
    preview_metadata: bool = True

    # Taken from the left, one for each POST /prompt; none left means as usual.
    # cut: taken in, connection cut without an answer · lost: cut before it was taken in ·
    # late: answered when the job is done · 500: taken in, and a 500 · 403, 413, 503: refused ·
    # other_id, node_errors, garbage: a 200
    prompt_answers: deque[str] = field(default_factory=deque)
    # The same for GET /view: cut, empty, html, 404, 500, unannounced · truncated: the first half
    # as if it were all · stalled: the first half, and no more.
    view_answers: deque[str] = field(default_factory=deque)

    # The same for POST /upload/image: cut, or a status.
    upload_answers: deque[str] = field(default_factory=deque)

    # Versions before 0.26 have no /api/jobs/{id}/cancel.
    jobs_api: bool = True
    # Versions before 0.3.57 interrupt whatever runs, whichever job was named.
    targeted_interrupt: bool = True
    # What GET /prompt says instead of what is true.
    queue_remaining: int = 0
    # Requests are read and not answered, as under SIGSTOP.
    frozen: bool = False
    # Requests that wait as long as this stands here: "before POST /prompt" (not taken in yet) or
    # "after GET /history" (done, not answered); the path's beginning is enough.
    hold: str = ""
    # Every request gets a 503, as from a proxy that lost its server.
    unwell: bool = False

    def loses(self, kind: str) -> bool:
        """Whether frames of this kind get lost."""
        return kind in self.lose_frames or "*" in self.lose_frames
