"""For which library a sketch is written."""

from __future__ import annotations

from typing import Literal

from services.kit.errors import Internal
from services.media.domain.output_config import OutputConfig

Library = Literal["p5js", "tonejs"]


def library_of(config: OutputConfig) -> Library:
    """The library a config names. Raises Internal CONFIG_WITHOUT_OPTIONS."""
    library = config.backend_options.get("library")
    if library == "p5js" or library == "tonejs":
        return library
    raise Internal("CONFIG_WITHOUT_OPTIONS", f"{config.name} names no library")
