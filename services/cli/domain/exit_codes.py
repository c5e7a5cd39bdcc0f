"""What the exit code of a command says. Pure."""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
BLOCKED = 3
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

# A partial run made something, and says what it did not make: scripts go on.
_BY_STATE = {"succeeded": OK, "partial": OK, "blocked": BLOCKED}


def exit_code_of(state: str) -> int:
    """Return the exit code for the final state of a run; 1 for everything without a result."""
    return _BY_STATE.get(state, FAILED)
