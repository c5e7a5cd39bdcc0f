"""A plug-in step: which colours a text names. Copy it, rename it, change it."""

from __future__ import annotations

from services.kit.errors import InvalidArgument
from services.orchestrator.engine.step import JsonObject, StepScope

COLOURS = {
    "blue": "#1f4e9e",
    "green": "#2e7d32",
    "red": "#c62828",
    "white": "#fafafa",
    "yellow": "#f9c80e",
}


class Palette:
    """Takes `text`; gives `colours`, `hex` and `advice`.

    `colours` are their names in the order of the text, at most `config.most` (3 if it is not
    said), and `hex` their values. `advice` is what to add to a text without any colour, else empty.
    """

    # Files are checked against these: a misspelt input is found by `artlab pipeline check`.
    TAKES = frozenset({"text"})
    GIVES = frozenset({"colours", "hex", "advice"})

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Look for colours. Raises InvalidArgument STEP_INPUT_INVALID."""
        text, most = inputs.get("text"), scope.config.get("most", 3)
        if not isinstance(text, str) or not isinstance(most, int):
            raise InvalidArgument("STEP_INPUT_INVALID", "text is a text and most a whole number")
        words = (word.strip(".,;:!?").lower() for word in text.split())
        found = list(dict.fromkeys(word for word in words if word in COLOURS))[:most]
        advice = "" if found else ", all in white"
        return {"colours": found, "hex": [COLOURS[name] for name in found], "advice": advice}
