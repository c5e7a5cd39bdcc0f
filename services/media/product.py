"""Products that fit into memory: what is made here, and texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from services.media.ports import Product

CHUNK_BYTES = 256 * 1024


def product_of(data: bytes, backend: str, model: str, facts: Mapping[str, str]) -> Product:
    """A product whose bytes are at hand."""

    @contextmanager
    def read() -> Iterator[Iterator[bytes]]:
        view = memoryview(data)
        yield (bytes(view[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES))

    return Product(
        read=read, backend=backend, model=model, size_bytes=len(data), metadata=dict(facts)
    )
