"""metadata.json as bytes: pretty for people, with a checksum over its canonical form."""

from __future__ import annotations

import hashlib

import orjson

from services.kit.ids import RunId
from services.recorder.domain.document import (
    CHECKSUM,
    Document,
    entity_document,
    event_document,
    run_document,
    upload_document,
)
from services.recorder.domain.events import EntityErased
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.reading import read_run, read_upload
from services.recorder.domain.run import Run
from services.recorder.domain.upload import UploadRecord

_FORM = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def checksum(document: Document) -> str:
    """SHA-256 of the document in canonical form: sorted keys, no spaces, without the checksum."""
    bare = {key: value for key, value in document.items() if key != CHECKSUM}
    return hashlib.sha256(orjson.dumps(bare, option=orjson.OPT_SORT_KEYS)).hexdigest()


def parse_document(data: bytes) -> Document:
    """Return the document. Raises DocumentError when it is no JSON or its checksum is wrong."""
    try:
        document = orjson.loads(data)
    except ValueError:
        raise DocumentError("not JSON") from None
    if not isinstance(document, dict):
        raise DocumentError("not a JSON object")
    try:
        agrees = checksum(document) == document.get(CHECKSUM)
    except TypeError:  # whole numbers past 64 bits parse but do not serialize
        agrees = False
    if not agrees:
        raise DocumentError("the checksum does not match")
    return document


def parse_record(data: bytes) -> Document:
    """Return a metadata.json, byte for byte as it was written. Raises DocumentError.

    The checksum is of what it says. What lies between, such as line ends, is compared itself.
    """
    document = parse_document(data)
    if orjson.dumps(document, option=_FORM) != data:
        raise DocumentError("not in the form in which it was written")
    return document


def decode_run(data: bytes, run_id: RunId) -> Run:
    """Return the run of a metadata.json. Raises DocumentError."""
    run = read_run(parse_record(data))
    if run.run_id != run_id:
        raise DocumentError("run_id: not the name of the folder")
    return run


def encode_upload(record: UploadRecord) -> bytes:
    """Return the record of an upload."""
    return encode_document(upload_document(record))


def decode_upload(data: bytes) -> UploadRecord:
    """Return an upload from its record. Raises DocumentError."""
    return read_upload(parse_document(data))


class RunEncoder:
    """Encodes one run again and again; what is already in it is not built twice."""

    def __init__(self) -> None:
        self._entities: list[Document] = []
        self._events: list[Document] = []

    def encode(self, run: Run) -> bytes:
        """Return metadata.json. The run must be the one before, or what became of it."""
        self._entities.extend(map(entity_document, run.entities[len(self._entities) :]))
        for event in run.events[len(self._events) :]:
            self._events.append(event_document(event))
            if isinstance(event.payload, EntityErased):
                sequence = event.payload.sequence
                self._entities[sequence - 1] = entity_document(run.entity(sequence))
        return encode_document(run_document(run, self._entities, self._events))


def encode_document(document: Document) -> bytes:
    """Return a document as it is stored, with its checksum."""
    document[CHECKSUM] = checksum(document)
    return orjson.dumps(document, option=_FORM)
