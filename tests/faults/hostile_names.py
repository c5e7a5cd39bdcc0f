"""Names that want to lead somewhere else, and requests that carry them in every field.

The cases are those of the groups run_id_path and entity_name of the team's collection of bad
inputs, written out, and more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

RUN_ID = "528e5af9-59b3-4551-b101-27e13dd6e43e"
# These are tried in every field; the rest only where a run, an upload or an entity is named.
WORST = [
    "..",
    "/etc/passwd",
    "../../../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "\0",
    "a\0b",
    "a/b",
    f"{RUN_ID}/../../x",
    ".uploads",
    "metadata.json",
    "\r\n",
    "x" * 5000,
]
NAMES = [
    *WORST,
    "",
    ".",
    "...",
    "/",
    "//",
    "*",
    "?",
    "~",
    "~root",
    "-rf",
    "CON",
    "NUL",
    "aux.txt",
    "$(id)",
    "`id`",
    ";id",
    "%00",
    "%2e%2e%2f",
    "..\\..\\windows",
    "file:///etc/passwd",
    "\uff0e\uff0e\uff0fetc",
    ".trash",
    ".orphans",
    ".index",
    ".tombstones",
    ".favourites",
    ".imported",
    ".reserve",
    ".imports",
    "metadata.json.tmp",
    "01_input.txt",
    "06_output_image.png",
    "output_exe",
    "OUTPUT_IMAGE",
    "-1",
    "1e3",
    "\u0661",
    f"./{RUN_ID}",
    f"{RUN_ID}/.",
    f"{RUN_ID}\n",
    f"{RUN_ID}\0",
    f"\u202e{RUN_ID}",
    f"\ufeff{RUN_ID}",
    f"urn:uuid:{RUN_ID}",
    f"{{{RUN_ID}}}",
    RUN_ID.upper(),
    RUN_ID.replace("-", ""),
]
_NAMING = {"name", "names", "upload", "request_id"}

M = TypeVar("M", bound=Message)


def forms(word: str, run: str) -> list[str]:
    """A word as a resource name, and as each part of one."""
    return [
        word,
        f"runs/{word}",
        f"runs/{word}/uploads/u",
        f"runs/{word}/entities/1",
        f"{run}/uploads/{word}",
        f"{run}/entities/{word}",
        f"{run}/{word}",
    ]


def spoiled(request: M, run: str, outside: str) -> Iterator[M]:
    """The request with each hostile word in each of its texts, also those that are not set."""
    words = [*WORST, outside], [*NAMES, outside]
    for path in _texts(request):
        is_name = path[-1].name in _NAMING and len(path) == 1
        for word in words[is_name]:
            for text in forms(word, run) if is_name else [word]:
                yield _with_text(request, path, text)


def _texts(message: Message) -> Iterator[list[Any]]:
    fields: Iterable[Any] = message.DESCRIPTOR.fields
    for field in fields:
        if field.type == field.TYPE_STRING:
            yield [field]
        elif field.type == field.TYPE_MESSAGE:
            inner = GetMessageClass(field.message_type)()
            yield from ([field, *rest] for rest in _texts(inner))


def _with_text(request: M, path: list[Any], text: str) -> M:
    copy = type(request)()
    copy.CopyFrom(request)
    target: Any = copy
    for field in path[:-1]:
        if field.message_type.GetOptions().map_entry:
            # Either as the key or as the value of a new entry.
            key, value = (text, "x") if path[-1].name == "key" else ("key", text)
            getattr(target, field.name)[key] = value
            return copy
        held = getattr(target, field.name)
        target = held.add() if field.is_repeated else held
        target.SetInParent()
    if path[-1].is_repeated:
        getattr(target, path[-1].name).append(text)
    else:
        setattr(target, path[-1].name, text)
    return copy
