"""What a job left at an instance, as products: files to be fetched, texts that are there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from services.kit.log import facts
from services.media.comfy.address import Address
from services.media.comfy.download import Download
from services.media.comfy.errors import no_output
from services.media.comfy.history import OutputFile, files_of, texts_of
from services.media.domain.output_config import OutputConfig
from services.media.domain.png_text import without_texts
from services.media.domain.request import MAX_FILES
from services.media.domain.workflow import Workflow
from services.media.ports import Product

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Leavings:
    """What stands in the history of a job that ended well, and where it can be fetched."""

    outputs: Mapping[str, Any]
    workflow: Workflow
    config: OutputConfig
    address: Address
    max_media_bytes: int
    backend: str
    model: str
    metadata: Mapping[str, str]

    def product(self) -> Product:
        """Return everything the output nodes left, the first file with the others.

        Of more than MAX_FILES the first are taken, and the metadata says how many were left out.
        Raises COMFY_NO_OUTPUT, COMFY_PROTOCOL.
        """
        nodes = self.workflow.output_nodes
        texts = texts_of(self.outputs, *nodes) if self.workflow.makes_text else []
        files = files_of(self.outputs, *nodes) if not self.workflow.makes_text else []
        products = [self._of_text(text) for text in texts[:MAX_FILES]]
        products += [self._of_file(file) for file in files[:MAX_FILES]]
        if not products:
            prompt_id = self.metadata.get("prompt_id", "")
            raise no_output("the job ended well but its node left no file", prompt_id=prompt_id)
        first, left_out = products[0], len(texts) + len(files) - len(products)
        if left_out:
            log.warning("files left out", extra=facts(left_out=left_out, taken=len(products)))
            told = {**first.metadata, "files_left_out": str(left_out)}
            first = replace(first, metadata=told)
        return replace(first, others=tuple(products[1:]))

    def _of_file(self, file: OutputFile) -> Product:
        download = Download(self.address, file, self.max_media_bytes)
        return Product(
            read=download.open if self.config.keep_metadata else partial(_without_texts, download),
            backend=self.backend,
            model=self.model,
            metadata={**self.metadata, "filename": file.filename},
        )

    def _of_text(self, text: str) -> Product:
        data = text.encode(errors="replace")
        return Product(
            read=partial(_in_memory, data),
            backend=self.backend,
            model=self.model,
            size_bytes=len(data),
            metadata=self.metadata,
        )


@contextmanager
def _in_memory(data: bytes) -> Iterator[Iterator[bytes]]:
    yield iter((data,))


@contextmanager
def _without_texts(download: Download) -> Iterator[Iterator[bytes]]:
    with download.open() as chunks:
        yield without_texts(chunks)
