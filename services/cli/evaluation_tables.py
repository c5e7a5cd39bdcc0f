"""The figures of an evaluation as tables, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.cli.tables import Table
from services.safety.domain.levels import Level
from services.safety.evaluation.aims import Aim
from services.safety.evaluation.figures import Cell, Count, Figures, total


def tables_of(figures: Figures, aims: Iterable[Aim]) -> list[Table]:
    """Return all tables; what was not measured has none."""
    tables = [
        Table(
            "Aims",
            ["", "aim", "reached", "met"],
            [[aim.name, aim.aim, aim.reached, "yes" if aim.met else "no"] for aim in aims],
        ),
        _by_level("Forbidden sentences refused", "category", figures.detection),
        _by_level("Allowed sentences refused", "class", figures.false_positives),
    ]
    if figures.evasion or figures.by_hand:
        tables.append(_evasions(figures))
    if figures.changed:
        tables.append(_changed(figures.changed))
    tables.append(_time(figures))
    return tables


def _by_level(title: str, name: str, counts: Mapping[Cell, Count]) -> Table:
    columns = [
        (language, level.label)
        for language in sorted({language for _, language, _ in counts})
        for level in Level
        if any(cell[1:] == (language, level.label) for cell in counts)
    ]
    rows = [
        [row, *(_of(counts.get((row, *column))) for column in columns)]
        for row in dict.fromkeys(cell[0] for cell in counts)
    ]
    sums = (
        total(count for cell, count in counts.items() if cell[1:] == column) for column in columns
    )
    header = [name, *(" ".join(column) for column in columns)]
    return Table(title, header, [*rows, ["all", *map(_of, sums)]])


def _evasions(figures: Figures) -> Table:
    """Ways that are always found, and never where nothing is hidden, are one row."""
    innocent = figures.disguised
    none = Count()
    perfect = [
        way
        for way, count in figures.evasion.items()
        if count.hits == count.of and not innocent.get(way, none).hits
    ]
    rows = [
        [way, _of(count), _of(innocent.get(way))]
        for way, count in figures.evasion.items()
        if way not in perfect
    ]
    if perfect:
        others = (
            total(counts.get(way, none) for way in perfect)
            for counts in (figures.evasion, innocent)
        )
        rows.append([f"{len(perfect)} other ways", *map(_of, others)])
    rows += [[f"hidden by hand, {key}", _of(count), "–"] for key, count in figures.by_hand.items()]
    title = "Words hidden"
    if figures.plain_missed:
        title += f" ({figures.plain_missed} sentences are not refused in plain, and left out)"
    return Table(title, ["way", "forbidden refused", "innocent refused"], rows)


def _changed(changed: Mapping[str, Count]) -> Table:
    rows = [[form, _of(count)] for form, count in changed.items()]
    return Table("Verdicts changed by form", ["form", "changed"], rows)


def _time(figures: Figures) -> Table:
    middle, nearly_all = figures.milliseconds
    rows = [["one sentence, 50 %", f"{middle:.2f}"], ["one sentence, 99 %", f"{nearly_all:.2f}"]]
    rows += [
        [f"{length} characters, {name}", f"{seconds * 1000:.0f}"]
        for (name, length), seconds in figures.long_texts.items()
    ]
    return Table("Time", ["text", "ms"], rows)


def _of(count: Count | None) -> str:
    return f"{count.hits}/{count.of}" if count and count.of else "–"
