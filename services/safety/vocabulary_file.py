"""The words of languages, as pyspellchecker ships them: what is used, checked with dictionaries."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files

import orjson

from services.safety.domain.vocabulary import Vocabulary, fold_words

_PACKAGE = "spellchecker"


@lru_cache(maxsize=4)
def load_vocabulary(languages: tuple[str, ...]) -> Vocabulary:
    """Return the words of these languages; of those the package lacks there are none.

    Raises OSError or ValueError when what is installed is broken.
    """
    words: dict[str, frozenset[str]] = {}
    digest = hashlib.sha256()
    for language, data in _read(languages):
        digest.update(f"{language}\0{len(data)}\0".encode())
        digest.update(data)
        words[language] = fold_words(orjson.loads(gzip.decompress(data)))
    return Vocabulary(words, digest.hexdigest())


def _read(languages: Iterable[str]) -> Iterable[tuple[str, bytes]]:
    folder = files(_PACKAGE).joinpath("resources")
    for language in sorted(languages):
        file = folder.joinpath(f"{language}.json.gz")
        if file.is_file():
            yield language, file.read_bytes()
