"""Texts of people and models, parsed once. Pure.

The limits are those of the protos: at most 20 000 characters and 64 KiB of UTF-8.
"""

from __future__ import annotations

import re

from services.kit.errors import InvalidArgument

MAX_TEXT_CHARACTERS = 20_000
MAX_TEXT_BYTES = 64 * 1024

# C0 controls but tab, line feed and carriage return; and DEL.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARK = "\ufeff"


def parse_text(text: str, field: str, *, optional: bool = False) -> str:
    """Return the text without a leading byte order mark, otherwise as it is.

    Raises InvalidArgument with the field's path: INVALID_UNICODE (a lone surrogate),
    INVALID_CHARACTER (a control character), TEXT_TOO_LONG, EMPTY_TEXT (nothing but white space,
    unless optional).
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        raise InvalidArgument(
            "TEXT_TOO_LONG", f"at most {MAX_TEXT_CHARACTERS} characters", field=field
        )
    if _SURROGATE.search(text):
        raise InvalidArgument("INVALID_UNICODE", "half of a surrogate pair", field=field)
    text = text.removeprefix(_BYTE_ORDER_MARK)
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise InvalidArgument("TEXT_TOO_LONG", f"at most {MAX_TEXT_BYTES} bytes", field=field)
    if _CONTROL.search(text):
        raise InvalidArgument("INVALID_CHARACTER", "a control character", field=field)
    if not optional and not text.strip():
        raise InvalidArgument("EMPTY_TEXT", "must not be empty", field=field)
    return text
