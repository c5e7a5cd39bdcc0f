"""The policy as tables, from its document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.cli.tables import Table

Document = Mapping[str, Any]
_STRENGTH = {1: "mild", 2: "strong", 3: "extreme"}


def policy_tables(policy: Document) -> list[Table]:
    """Return what holds: outcomes by level, checks in order, pictures, codes of Llama Guard."""
    tables = [*_outcomes(policy["rows"], policy["categories"])]
    if policy["rows"]:
        tables.append(_checks(policy["rows"]))
    if policy["images"]:
        tables += [_image_judges(policy["images"]), _image_limits(policy["images"])]
    return tables


def list_tables(policy: Document) -> list[Table]:
    """Return what changes with every term, and what a judge's own codes mean."""
    codes = [
        [code, meant["category"], _STRENGTH[meant["severity"]]]
        for code, meant in policy["llama_guard"].items()
    ]
    lists = [
        [language, str(one["terms"]), str(one["rules"]), one["version"]]
        for language, one in policy["lists"].items()
    ]
    return [
        Table("Codes of Llama Guard", ["code", "category", "severity"], codes, figures=False),
        Table("Lists", ["language", "terms", "rules", "version"], lists),
    ]


def _outcomes(rows: Sequence[Document], categories: Sequence[str]) -> Iterable[Table]:
    """A table for all purposes that are alike, and for others what differs from the first."""
    levels = list(dict.fromkeys(row["level"] for row in rows))
    purposes = list(dict.fromkeys(row["purpose"] for row in rows))
    rules = {(row["level"], row["purpose"]): row["categories"] for row in rows}
    groups: list[tuple[list[str], list[list[str]]]] = []
    for purpose in purposes:
        cells = [
            [name, *(_outcome(rules[level, purpose][name]) for level in levels)]
            for name in categories
        ]
        for others, same in groups:
            if same == cells:
                others.append(purpose)
                break
        else:
            groups.append(([purpose], cells))
    for number, (names, cells) in enumerate(groups):
        shown = cells if not number else [row for row in cells if row not in groups[0][1]]
        title = f"Refused in texts for {', '.join(names)}"
        yield Table(
            title if not number else f"{title}: otherwise as above",
            ["category", *levels],
            shown,
            figures=False,
        )


def _outcome(rule: Document) -> str:
    if rule["outcome"] == "allow":
        return "–"
    told = f"from {_STRENGTH[rule['severity']]}"
    if rule["outcome"] == "context":
        signs = rule["signals"]
        told += f", unless teaching ({signs} sign{'s' if signs > 1 else ''})"
    return told


def _checks(rows: Sequence[Document]) -> Table:
    """One line for each check, where levels and purposes with the same checks are one."""
    purposes = list(dict.fromkeys(row["purpose"] for row in rows))
    by_level: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        key = _key(row["checks"])
        by_level.setdefault(row["level"], {}).setdefault(key, []).append(row["purpose"])
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for level, found in by_level.items():
        for key, names in found.items():
            groups.setdefault((key, tuple(names)), []).append(level)
    checks = {_key(row["checks"]): row["checks"] for row in rows}
    lines = []
    for (key, named), levels in groups.items():
        told = "all" if list(named) == purposes else ", ".join(named)
        for number, check in enumerate(checks[key], 1):
            lines.append(
                [
                    ", ".join(levels) if number == 1 else "",
                    told if number == 1 else "",
                    f"{number}. {check['check']}",
                    ", ".join(check.get("judges", ())),
                    check["on_hit"],
                    check["on_failure"],
                ]
            )
    header = ["levels", "texts for", "check", "judges that must", "on hit", "on failure"]
    return Table("Checks of texts, in order", header, lines, figures=False)


def _key(checks: Sequence[Document]) -> str:
    return repr(checks)


def _image_judges(rows: Sequence[Document]) -> Table:
    lines = [
        [
            row["level"],
            "before anybody sees it" if row["checked"] else "when asked",
            ", ".join(row["judges"]),
            "error",
            "stays" if row["keep_blocked"] else "is erased",
        ]
        for row in rows
    ]
    header = ["level", "checked", "judges that must", "on failure", "what is refused"]
    return Table("Pictures and films", header, lines, figures=False)


def _image_limits(rows: Sequence[Document]) -> Table:
    scores: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows:
        for limit in row["refuse"]:
            key = limit["category"], limit["judge"], limit["label"]
            scores.setdefault(key, {})[row["level"]] = f"{limit['score']:g}"
    levels = [row["level"] for row in rows]
    lines = [
        [category, judge, label, *(by_level.get(level, "–") for level in levels)]
        for (category, judge, label), by_level in scores.items()
    ]
    header = ["category", "judge", "label", *levels]
    title = "Refused in pictures and films, from this score on"
    return Table(title, header, lines, figures=False)
