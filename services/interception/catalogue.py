"""Recipes from files: strict, and all defects at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from services.interception.domain.recipe import Origin, Recipe, Sampling, Step
from services.interception.recipe_file import RecipeFile, StepFile
from services.kit.catalogue import CatalogueError, Defect, parse_folder


def load_recipes(folder: Path) -> Mapping[str, Recipe]:
    """Return all recipes of a folder, by name.

    Raises CatalogueError with every defect of every file.
    """
    defects: list[Defect] = []
    files = parse_folder(folder, RecipeFile, defects)
    if defects:
        raise CatalogueError(defects)
    return {name: recipe_of(name, file) for name, file in files.items()}


def recipe_of(name: str, file: RecipeFile, origin: Origin = "shipped") -> Recipe:
    """A checked file as the domain knows it."""
    sampling = Sampling(**file.parameters.model_dump())
    steps = tuple(_step(step, file) for step in file.steps)
    split = file.pipeline == "split"
    return Recipe(
        name=name,
        pipeline=file.pipeline,
        title=file.name.model_dump(),
        description=file.description.model_dump(),
        context=file.context.model_dump(),
        category=file.category,
        sampling=sampling,
        writing=file.writer.writing() if file.writer else steps[0].writing,
        passes=len(steps) or file.passes,
        steps=steps,
        result=file.result or ("all" if split else "last"),
        languages=tuple(file.languages),
        target_language=file.target_language,
        default_output=file.media_preferences.default_output,
        output_configs=tuple(file.media_preferences.output_configs),
        accepts_context=file.accepts_context,
        requires_context=file.requires_context,
        translates_input=file.translate_input,
        local_only=file.local_only,
        origin=origin,
        minimum_age=file.audience.min_age,
        workshop_suitable=file.audience.workshop_suitable,
        icon=file.display.icon,
        color=file.display.color,
        order=file.display.order,
        tags=tuple(file.tags),
        meta=dict(file.meta),
        sha256=hashlib.sha256(file.model_dump_json().encode()).hexdigest(),
    )


def _step(step: StepFile, file: RecipeFile) -> Step:
    parameters = step.parameters or file.parameters
    return Step(
        title=step.title.model_dump(),
        context=step.context.model_dump(),
        sampling=Sampling(**parameters.model_dump()),
        writing=step.writer.writing(),
        takes=step.takes or ("original" if file.pipeline == "split" else "previous"),
    )
