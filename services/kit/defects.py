"""What is wrong with a catalogue, all of it at once. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.kit.errors import FailedPrecondition


@dataclass(frozen=True, slots=True, order=True)
class Defect:
    """One thing that is wrong with one file."""

    file: str
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.field + ': ' if self.field else ''}{self.reason}"


class CatalogueError(FailedPrecondition):
    """The catalogue has defects; `.defects` lists them all."""

    def __init__(self, defects: list[Defect]) -> None:
        self.defects = sorted(defects)
        lines = "; ".join(str(defect) for defect in self.defects[:20])
        super().__init__("CATALOGUE_INVALID", f"{len(defects)} defects: {lines}")
