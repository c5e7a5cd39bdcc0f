"""Claims on a disk: an empty file each, whose name says everything.

    .claims/<run_id>.<epoch>.<ttl_ms>.<not_before_us>.<owner>

A change is a new name and one sync of the folder, after which the old name goes. Of two that a
crash left, the newest counts. A run that is still its creator's has none: its record says so. Final
runs have none.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from services.kit.ids import RunId
from services.kit.log import facts
from services.recorder.domain.claim import MAX_TTL_MS, MIN_TTL_MS, Claim, Claimant
from services.recorder.store import atomic
from services.recorder.store.files import names_in
from services.recorder.store.layout import Layout, is_run_id

log = logging.getLogger(__name__)

_NAME = re.compile(
    r"(?P<run>[0-9a-f-]{36})\.(?P<epoch>[1-9][0-9]{0,18})\.(?P<ttl>[0-9]{1,5})"
    r"\.(?P<not_before>[0-9]{1,18})\.(?P<owner>[a-z0-9-]{0,64})",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST_US = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MICROSECOND


class ClaimFiles:
    """The files, and which of them each open run has. For use by threads, one a run at a time."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.claims_fd
        self._names: dict[RunId, str] = {}

    def recover(self, keep: Collection[RunId]) -> Mapping[RunId, Claim]:
        """Return the claims of these runs, and remove all others. Raises OSError."""
        found: dict[RunId, Claim] = {}
        for name in names_in(self._folder):
            read = parse_name(name)
            if read is None:
                continue  # not ours
            run_id, claim = read
            known = found.get(run_id)
            if run_id in keep and (known is None or _is_newer(claim, known)):
                found[run_id] = claim
        wanted = {run_id: name_of(run_id, claim) for run_id, claim in found.items()}
        for name in names_in(self._folder):
            read = parse_name(name)
            if read is not None and wanted.get(read[0]) != name:
                atomic.remove(self._folder, name)
        self._names = wanted
        return found

    def save(self, run_id: RunId, claim: Claim) -> None:
        """Replace what is kept of a run's claim.

        Raises OSError with the old one in place, or UnsureError with both.
        """
        before, name = self._names.get(run_id), name_of(run_id, claim)
        if name == before:
            return
        try:
            atomic.mark(self._folder, name)
        except OSError:
            with contextlib.suppress(OSError):
                atomic.remove(self._folder, name)
            raise
        self._names[run_id] = name
        # The new one is durable. Of two, the newest counts.
        if before is not None:
            self._remove(run_id, before)

    def drop(self, run_id: RunId) -> None:
        """Forget the claim of a run that has ended; what cannot be removed, a start removes."""
        name = self._names.pop(run_id, None)
        if name is not None:
            self._remove(run_id, name)

    def _remove(self, run_id: RunId, name: str) -> None:
        try:
            atomic.remove(self._folder, name)
        except OSError as error:
            log.warning("a claim is left", extra=facts(run=str(run_id), errno=error.errno))


def name_of(run_id: RunId, claim: Claim) -> str:
    """Return the name of the file that says this."""
    by = claim.by or Claimant("", 0)
    not_before = (
        0 if claim.not_before is None else max(0, (claim.not_before - _EPOCH) // _MICROSECOND)
    )
    return f"{run_id}.{claim.epoch}.{by.ttl_ms}.{not_before}.{by.owner}"


def parse_name(name: str) -> tuple[RunId, Claim] | None:
    """Return what the name of a file says; None when it is not one of ours."""
    match = _NAME.fullmatch(name)
    if match is None or not is_run_id(match["run"]):
        return None
    ttl_ms, not_before_us = int(match["ttl"]), int(match["not_before"])
    by = None
    if match["owner"]:
        if not MIN_TTL_MS <= ttl_ms <= MAX_TTL_MS:
            return None
        by = Claimant(match["owner"], ttl_ms)
    not_before = None
    if not_before_us:
        not_before = _EPOCH + min(not_before_us, _LAST_US) * _MICROSECOND
    return RunId(match["run"]), Claim(int(match["epoch"]), by, not_before)


def _is_newer(claim: Claim, known: Claim) -> bool:
    # A claim is given back once, and never held again under its epoch.
    return (claim.epoch, claim.by is None) > (known.epoch, known.by is None)
