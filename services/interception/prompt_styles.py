"""Prompt styles from files: strict, and all defects at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from services.interception.domain.prompt_style import PromptStyle
from services.interception.domain.recipe import Sampling
from services.interception.recipe_file import Context, Parameters, Strict, Writer
from services.kit.catalogue import CatalogueError, Defect, parse_folder


class PromptStyleFile(Strict):
    """One file of configs/prompt_styles/; its stem is the style's name."""

    context: Context
    language: Literal["", "en"] = Field(
        "", description="what such models were trained in; empty means the language of the text"
    )
    parameters: Parameters
    writer: Writer


def load_prompt_styles(folder: Path) -> Mapping[str, PromptStyle]:
    """Return all prompt styles of a folder, by name. Raises CatalogueError with every defect."""
    defects: list[Defect] = []
    files = parse_folder(folder, PromptStyleFile, defects)
    if defects:
        raise CatalogueError(defects)
    return {
        name: PromptStyle(
            name=name,
            context=file.context.model_dump(),
            sampling=Sampling(**file.parameters.model_dump()),
            writing=file.writer.writing(),
            language=file.language,
        )
        for name, file in files.items()
    }
