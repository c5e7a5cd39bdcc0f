"""Text for searching: what differs only in case, accents or width is the same. Pure."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """Return the text without case and accents; folding it again changes nothing."""
    if text.isascii():
        return text.lower()
    # Twice: taking case away can bring accents to light (İ), and taking those, case.
    for _ in range(2):
        decomposed = unicodedata.normalize("NFKD", text).casefold()
        text = "".join(
            one
            for one in unicodedata.normalize("NFKD", decomposed)
            if not unicodedata.combining(one)
        )
    return text
