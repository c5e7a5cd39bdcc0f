"""Whether runs lived as they should have: a check of the record of all runs under a root.

Reads metadata.json and verdicts as files, and knows nothing of the code that wrote them, so that
a mistake in a service is not made here again. `verify_run` tells whether a folder is whole; this
tells whether what it says could have happened at all (`history_rules` has the rules). For people:

    python -m tests.support.history pipeline_runs
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support.history_record import FINAL, Violation, history_of
from tests.support.history_rules import check_history

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def run_folders(root: Path) -> list[Path]:
    """Every run folder under a root, by name."""
    return sorted(path for path in root.iterdir() if _RUN_ID.fullmatch(path.name))


def check_root(
    root: Path, acknowledged: Iterable[str] = (), *, must_be_final: bool = False
) -> list[Violation]:
    """Check every run under a root.

    Args:
        root: the recorder's root.
        acknowledged: ids of runs whose start was answered; each must be there, with its input.
        must_be_final: whether a run that has not ended is a violation.
    """
    found: list[Violation] = []
    seen = set()
    for folder in run_folders(root):
        seen.add(folder.name)
        try:
            history = history_of(folder)
        except (OSError, ValueError) as error:
            found.append(Violation(folder.name, "readable", str(error)))
            continue
        found += check_history(history)
        if must_be_final and history.status not in FINAL:
            found.append(Violation(folder.name, "ended", f"it is {history.status}"))
        if folder.name in set(acknowledged) and not any(
            entity["type"] == "input" for entity in history.entities
        ):
            found.append(Violation(folder.name, "acknowledged", "its input is not there"))
    for run_id in sorted(set(acknowledged) - seen):
        found.append(Violation(run_id, "acknowledged", "there is no such run"))
    return found


def main() -> int:
    """Check the root the command line names; say what is wrong, one line each."""
    found = check_root(Path(sys.argv[1]))
    for violation in found:
        print(violation)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
