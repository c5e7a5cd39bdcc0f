"""A text as a judging model gets it: in pieces it can hold, without signs of its own language."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Small models forget, and servers cut in silence, what is longer than their window. A piece is
# about 1 500 tokens; what stands across two pieces is whole in the overlap.
PIECE_CHARACTERS = 4000
OVERLAP_CHARACTERS = 400
# <|im_end|>, <start_of_turn>, </user>, [INST], <<SYS>>: some servers take them for their own.
_SIGN = re.compile(r"<(?=[|｜/!\w<])|\[(?=/?(?:INST|SYS|AVAILABLE_TOOLS|TOOL))")


def pieces(text: str) -> Iterator[str]:
    """Yield the text in overlapping pieces; a short one as it is."""
    step = PIECE_CHARACTERS - OVERLAP_CHARACTERS
    for start in range(0, max(len(text) - OVERLAP_CHARACTERS, 1), step):
        yield text[start : start + PIECE_CHARACTERS]


def without_signs(text: str) -> str:
    """Return the text with every sign of a chat template broken, readable as before."""
    return _SIGN.sub(lambda found: f"{found[0]} ", text)
