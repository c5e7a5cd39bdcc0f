"""What is known about bytes while they arrive, without keeping them. Pure.

Size and digest of all of them, the head for detection, whether they are UTF-8, whether a file is
built as its format asks, and the whole body where it must be JSON (which is small by limit).
"""

from __future__ import annotations

import codecs
import hashlib
import json
from typing import NoReturn

from services.kit.errors import InvalidArgument
from services.recorder.domain.media_type import JAVASCRIPT, JSON, TEXT, allowed_media_types
from services.recorder.domain.structure.formats import Structure
from services.recorder.domain.vocabulary import EntityType

HEAD_BYTES = 8192
MAX_JSON_BYTES = 1024 * 1024


class Content:
    """Grows with `add`; the checks are asked once at the end."""

    def __init__(self, entity_type: EntityType) -> None:
        allowed = allowed_media_types(entity_type)
        self.entity_type = entity_type
        self.size_bytes = 0
        self.head = b""
        self.is_text = bool(allowed & {TEXT, JSON, JAVASCRIPT})
        self._is_json = JSON in allowed
        self._body = bytearray()
        self._hash = hashlib.sha256()
        # Of what is no text; a person may well type a text that begins like a picture.
        self._structure = None if self.is_text else Structure(entity_type)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_utf8 = True

    def add(self, data: bytes) -> None:
        """Take the next bytes in."""
        self._hash.update(data)
        self.size_bytes += len(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        if self._structure is not None:
            self._structure.add(data)
        elif self._is_utf8:
            try:
                self._is_utf8 = "\x00" not in self._decoder.decode(data)
            except UnicodeDecodeError:
                self._is_utf8 = False
        if self._is_json and self.size_bytes <= MAX_JSON_BYTES:
            self._body += data

    @property
    def sha256(self) -> str:
        """Of everything so far, 64 lower-case hex characters."""
        return self._hash.hexdigest()

    def check_text(self) -> None:
        """Raise InvalidArgument NOT_UTF8 unless it is complete UTF-8 without NUL."""
        if self._is_utf8:
            try:
                self._decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                self._is_utf8 = False
        if not self._is_utf8:
            raise InvalidArgument("NOT_UTF8", "expected UTF-8 text", field="data")

    def check_structure(self) -> None:
        """Raise InvalidArgument MEDIA_MALFORMED or MEDIA_TOO_LARGE for what `structure` refuses."""
        if self._structure is not None:
            self._structure.check()

    def check_json(self) -> None:
        """Raise InvalidArgument NOT_JSON unless it is one JSON object of at most 1 MiB."""
        if self.size_bytes > MAX_JSON_BYTES:
            raise InvalidArgument(
                "MEDIA_TOO_LARGE", f"JSON of at most {MAX_JSON_BYTES} bytes", field="data"
            )
        try:
            value = json.loads(self._body.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise InvalidArgument("NOT_JSON", "expected a JSON object", field="data")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are not JSON
