"""JSON as RFC 8259 has it, and nothing that two readers could understand differently. Pure.

Refused: a key given twice, NaN and Infinity, numbers too large for a float, halves of surrogate
pairs, raw control characters, deep nesting. One leading byte order mark is allowed and dropped.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from services.kit.errors import InvalidArgument

MAX_DEPTH = 16
MAX_DIGITS = 40
_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARK = "\ufeff"


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises InvalidArgument INVALID_UTF8, MALFORMED_JSON, DUPLICATE_KEY, INVALID_NUMBER,
    INVALID_UNICODE, INVALID_CHARACTER or TOO_DEEP; never with a word of the text.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidArgument("INVALID_UTF8", "the body is not UTF-8") from None
    text = text.removeprefix(_BYTE_ORDER_MARK)
    _check_depth(text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Invalid control character"):
            raise InvalidArgument("INVALID_CHARACTER", "a raw control character") from None
        raise InvalidArgument("MALFORMED_JSON", "the body is not JSON") from None
    _check_unicode(value, "")
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidArgument("DUPLICATE_KEY", "a key is given twice")
    return found


def _no_constant(_: str) -> NoReturn:
    raise InvalidArgument("INVALID_NUMBER", "NaN and Infinity are not JSON")


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise InvalidArgument("INVALID_NUMBER", "a number is too large")
    return value


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise InvalidArgument("INVALID_NUMBER", "a number has too many digits")
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_constant=_no_constant,
    parse_float=_number,
    parse_int=_integer,
)


def _check_depth(text: str) -> None:
    # Before parsing: the parser recurses.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth, in_string, escaped = 0, False, False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidArgument("TOO_DEEP", f"nested deeper than {MAX_DEPTH} levels")
        elif character in "]}":
            depth -= 1


def _check_unicode(value: Any, path: str) -> None:
    # Depth is bounded above, so this recursion is too.
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise InvalidArgument("INVALID_UNICODE", "half of a surrogate pair", field=path or None)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_unicode(key, path)
            _check_unicode(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _check_unicode(item, f"{path}[{position}]")
