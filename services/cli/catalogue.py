"""The whole catalogue at once: what each service reads, and the rules across their files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from services.interception.catalogue import load_recipes
from services.interception.domain.prompt_style import PromptStyle
from services.interception.domain.recipe import Recipe
from services.interception.local_recipes import LocalRecipes
from services.interception.models_file import load_models
from services.interception.prompt_styles import load_prompt_styles
from services.kit.catalogue import CatalogueError, Defect
from services.media.catalogue import MODES, OutputCatalogue, load_output_catalogue
from services.orchestrator.engine.loader import load_pipelines
from services.orchestrator.steps.table import FACTORIES
from services.safety.catalogue import load_safety
from services.safety.domain.safety import Safety
from services.safety.evaluation.corpus import Part, load_corpus, read_frozen

# The recipe that stage 1 translates with.
TRANSLATION = "translation_en"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Findings:
    """What was read, and everything that is wrong with it, by file."""

    recipes: int
    outputs: int
    pipelines: int
    safety: str
    defects: tuple[Defect, ...]


def check_catalogue(
    configs: Path, recipes_dir: Path | None = None, models_file: Path | None = None
) -> Findings:
    """Read everything below `configs` as the services do; return what was found.

    `recipes_dir` is the folder of recipes of one's own, `models_file` a table of models that takes
    the place of the shipped one, which is checked all the same; what is wrong in them is told with
    their path. Where one part cannot be read, the rules across files that need it are left out: its
    own defects come first.
    """
    defects: list[Defect] = []
    recipes = outputs = pipelines = safety = None
    try:
        recipes = load_recipes(configs / "interception")
    except CatalogueError as error:
        defects += _placed(error, configs, "interception")
    try:
        outputs = load_output_catalogue(configs)
    except CatalogueError as error:
        defects += _placed(error, configs, "output")
    try:
        pipelines = load_pipelines(configs, FACTORIES)
    except CatalogueError as error:
        defects += _placed(error, configs, "pipelines")
    try:
        safety = load_safety(configs / "safety")
    except CatalogueError as error:
        defects += _placed(error, configs, "safety")
    if safety is not None:
        defects += _corpus(configs, safety)
    if recipes is not None:
        defects += _without_translation(recipes)
    try:
        styles = load_prompt_styles(configs / "prompt_styles")
    except CatalogueError as error:
        defects += _placed(error, configs, "prompt_styles")
    else:
        defects += _unknown_styles(outputs, styles)
    own: Mapping[str, Recipe] = {}
    if recipes is not None and recipes_dir is not None:
        local = LocalRecipes(recipes_dir, frozenset(recipes))
        local.read()
        own = {str(recipes_dir / file): recipe for file, recipe in local.files.items()}
        defects += (
            replace(defect, file=str(recipes_dir / defect.file)) for defect in local.defects
        )
    names = {*(recipes or ()), *(recipe.name for recipe in own.values())}
    defects += _models(configs / "models.yaml", "models.yaml", names)
    if models_file is not None:
        defects += _models(models_file, str(models_file), names)
    if recipes is not None and outputs is not None:
        for name in recipes:
            defects += _outputs_of(recipes[name], outputs, f"interception/{name}.yaml")
        for file, recipe in own.items():
            defects += _outputs_of(recipe, outputs, file)
    return Findings(
        recipes=len(recipes or ()) + len(own),
        outputs=len(outputs.configs) if outputs else 0,
        pipelines=len(pipelines or ()),
        safety=safety.version if safety else "",
        defects=tuple(sorted(defects)),
    )


def _placed(error: CatalogueError, configs: Path, area: str) -> Iterator[Defect]:
    # Loaders name a file within their own part; people want to know where it is.
    for defect in error.defects:
        # A folder that is not there at all is the part itself.
        place = Path(area, defect.file) if defect.file != area else Path(area)
        if not (configs / place).exists():
            elsewhere = sorted(path for path in configs.rglob("*") if path.name == defect.file)
            place = elsewhere[0].relative_to(configs) if elsewhere else place
        yield replace(defect, file=str(place))


def _corpus(configs: Path, safety: Safety) -> Iterator[Defect]:
    folder = configs / "safety" / "corpus"
    # No service reads it: a catalogue of one's own may be without.
    if not folder.is_dir():
        return
    try:
        load_corpus(folder, Part, safety.policy.categories)
        read_frozen(folder)
    except CatalogueError as error:
        yield from _placed(error, configs, "safety/corpus")


def _models(path: Path, told_as: str, recipes: Collection[str]) -> Iterator[Defect]:
    """What is wrong with a table of models; chains of recipes that are not there, too."""
    try:
        table = load_models(path)
    except CatalogueError as error:
        yield from (replace(defect, file=told_as) for defect in error.defects)
        return
    for name in sorted({name for _, name in table.recipes} - set(recipes)):
        yield Defect(told_as, f"recipes.{name}", "there is no such recipe")


def _without_translation(recipes: Mapping[str, Recipe]) -> Iterator[Defect]:
    needing = sorted(name for name, recipe in recipes.items() if recipe.translates_input)
    if needing and TRANSLATION not in recipes:
        reason = f"missing, and {len(needing)} recipes translate their input with it"
        yield Defect(f"interception/{TRANSLATION}.yaml", "", reason)
    elif TRANSLATION in recipes and recipes[TRANSLATION].passes != 1:
        yield Defect(f"interception/{TRANSLATION}.yaml", "passes", "stage 1 makes one pass")


def _unknown_styles(
    outputs: OutputCatalogue | None, styles: Mapping[str, PromptStyle]
) -> Iterator[Defect]:
    for name, config in outputs.configs.items() if outputs is not None else ():
        if config.prompt_style and config.prompt_style not in styles:
            reason = f"there is no {config.prompt_style} in prompt_styles"
            yield Defect(f"output/{name}.yaml", "prompt_style", reason)


def _outputs_of(recipe: Recipe, outputs: OutputCatalogue, file: str) -> Iterator[Defect]:
    for position, name in enumerate(recipe.output_configs):
        if name not in outputs.configs:
            field = f"media_preferences.output_configs.{position}"
            yield Defect(file, field, f"there is no output {name}")
    if recipe.output_configs:
        return
    kind = recipe.default_output or "text"
    for mode in MODES:
        if not outputs.defaults.get((kind, mode)):
            reason = f"output_defaults.yaml has no output for {kind} in mode {mode}"
            yield Defect(file, "media_preferences.default_output", reason)
