"""What templates see of a run, by root, so that a file is checked against it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

Values = Mapping[str, frozenset[str]]

VALUES: Values = {
    "input": frozenset({"text", "context", "language", "images", "parameters"}),
    "plan": frozenset(
        {
            "config",
            "passes",
            "translates_input",
            "level",
            "mode",
            "seed",
            "checks_images",
            "pause_before_render",
            "outputs",
        }
    ),
    "output": frozenset({"index", "occurrence", "config", "kind", "seed"}),
}
