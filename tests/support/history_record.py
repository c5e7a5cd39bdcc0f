"""The record of one run as its folder has it, and what may be wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

METADATA = "metadata.json"
FINAL = frozenset({"succeeded", "partial", "blocked", "failed", "cancelled"})
FINAL_OUTPUT = (FINAL - {"partial"}) | {"not_available"}

Record = Mapping[str, Any]
# The bytes of a file of the run, None when there is none of that name.
ReadFile = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """Something that cannot have happened: of which run, against which rule, and what exactly."""

    run_id: str
    rule: str
    message: str

    def __str__(self) -> str:
        """As one line."""
        return f"{self.run_id}: {self.rule}: {self.message}"


@dataclass(frozen=True, slots=True)
class History:
    """The record of one run, in the order of its events."""

    document: Record
    read: ReadFile

    @property
    def run_id(self) -> str:
        """Which run."""
        return str(self.document["run_id"])

    @property
    def status(self) -> str:
        """How it stands."""
        return str(self.document["status"])

    @property
    def entities(self) -> list[Record]:
        """As recorded."""
        return list(self.document["entities"])

    @property
    def outputs(self) -> list[Record]:
        """As planned, with their ends."""
        return list(self.document["outputs"])

    @property
    def events(self) -> list[Record]:
        """As recorded."""
        return list(self.document["events"])

    def entity(self, sequence: int) -> Record | None:
        """One entity."""
        return next((one for one in self.entities if one["sequence"] == sequence), None)

    def told(self, kind: str) -> Iterator[tuple[int, Record]]:
        """The events of a kind: place in the list, payload."""
        for place, event in enumerate(self.events):
            if event["kind"] == kind:
                yield place, event["payload"]

    def committed(self) -> Iterator[tuple[int, Record]]:
        """Entities as they were committed: place in the list of events, entity."""
        for place, payload in self.told("entity_committed"):
            entity = self.entity(payload["sequence"])
            if entity is not None:
                yield place, entity

    def json_of(self, entity: Record) -> Record:
        """What a verdict or another document says; empty when it is erased or unreadable."""
        data = self.read(entity["filename"])
        try:
            found = json.loads(data or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def history_of(folder: Path) -> History:
    """The history in a run folder. Raises OSError, and ValueError for a document that is none."""

    def read(name: str) -> bytes | None:
        path = folder / name
        return path.read_bytes() if path.is_file() else None

    return History(json.loads((folder / METADATA).read_bytes()), read)
