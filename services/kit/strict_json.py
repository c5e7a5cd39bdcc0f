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

# Of what a client sends; files of ours may go deeper.
MAX_DEPTH = 16
MAX_DIGITS = 40
_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARK = "\ufeff"


class JsonError(ValueError):
    """A text that is no strict JSON.

    Attributes:
        reason: as in docs/errors.md.
        message: what is wrong, without a word of the text.
        where: for whoever wrote the text: a line and a column, or the key.
        field: the path of the value, if known.
    """

    def __init__(self, reason: str, message: str, where: str = "", field: str = "") -> None:
        super().__init__(f"{message}: {where}" if where else message)
        self.reason = reason
        self.message = message
        self.where = where
        self.field = field


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text that a client sent.

    Raises InvalidArgument INVALID_UTF8, MALFORMED_JSON, DUPLICATE_KEY, INVALID_NUMBER,
    INVALID_UNICODE, INVALID_CHARACTER or TOO_DEEP; never with a word of the text.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidArgument("INVALID_UTF8", "the body is not UTF-8") from None
    try:
        return read_json(text.removeprefix(_BYTE_ORDER_MARK))
    except JsonError as error:
        raise InvalidArgument(error.reason, error.message, field=error.field or None) from None


def read_json(text: str, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value of a JSON text. Raises JsonError."""
    _check_depth(text, max_depth)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        if error.msg.startswith("Invalid control character"):
            raise JsonError("INVALID_CHARACTER", "a raw control character", where) from None
        raise JsonError("MALFORMED_JSON", "this is not JSON", where) from None
    _check_unicode(value, "")
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise JsonError("DUPLICATE_KEY", "a key is given twice", repr(twice[:64]))
    return found


def _no_constant(_: str) -> NoReturn:
    raise JsonError("INVALID_NUMBER", "NaN and Infinity are not JSON")


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise JsonError("INVALID_NUMBER", "a number is too large")
    return value


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise JsonError("INVALID_NUMBER", "a number has too many digits")
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_constant=_no_constant,
    parse_float=_number,
    parse_int=_integer,
)


def _check_depth(text: str, most: int) -> None:
    # Before parsing: the parser recurses.
    if text.count("[") + text.count("{") <= most:
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
            if depth > most:
                raise JsonError("TOO_DEEP", f"nested deeper than {most} levels")
        elif character in "]}":
            depth -= 1


def _check_unicode(value: Any, path: str) -> None:
    # Depth is bounded above, so this recursion is too.
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise JsonError("INVALID_UNICODE", "half of a surrogate pair", path, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_unicode(key, path)
            _check_unicode(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _check_unicode(item, f"{path}[{position}]")
