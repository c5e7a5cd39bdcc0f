"""Why a judge that is set up is not asked."""

from __future__ import annotations

from services.kit.errors import FailedPrecondition


def judge_is_remote(version: str) -> FailedPrecondition:
    """What is said where the policy wants a judge that may not be asked."""
    return FailedPrecondition(
        "SAFETY_JUDGE_REMOTE",
        f"{version} is on somebody else's machine, and this may not leave one's own; set up a"
        " judge near by, or let the policy do without it",
        metadata={"judge": version},
    )
