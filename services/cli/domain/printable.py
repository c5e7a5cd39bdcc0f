"""Texts of others on a terminal: what could steer it is made visible instead. Pure."""

from __future__ import annotations

import re

# C0 and C1 controls and DEL, but tab and line feed; and the controls of writing direction.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return the text with every terminal control replaced by U+FFFD."""
    return _STEERING.sub("\ufffd", text.replace("\r\n", "\n"))
