"""The interception service, put together."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from artlab.interception.v1 import interception_pb2_grpc
from services.interception.catalogue import load_recipes
from services.interception.choice import WriterChoice
from services.interception.composing import FROM_SETTINGS, Keyless, connect, table_with
from services.interception.domain.models import ModelTable
from services.interception.interceptor import Interceptor
from services.interception.language import Detector
from services.interception.local_recipes import LocalRecipes
from services.interception.model_writer import ProviderInUse
from services.interception.models_file import load_models
from services.interception.prompt_styles import load_prompt_styles
from services.interception.provider_list import ProviderList
from services.interception.rewriting import Rewriter
from services.interception.servicer import InterceptionServicer
from services.interception.settings import InterceptionSettings
from services.interception.shelf import RecipeShelf
from services.interception.translations import Translations
from services.interception.writer.builtin import BuiltinWriter
from services.interception.writer.lexicon_files import load_lexicon
from services.kit.catalogue import CONFIGS
from services.kit.clock import SystemClock
from services.kit.log import facts
from services.kit.program import Program, run_program
from services.kit.server import GrpcServer

log = logging.getLogger(__name__)

# What a pass by a model may take, besides what the models of its chain may.
PASS_MARGIN_SECONDS = 5.0
# Gigabytes over a school's line; who waits for them sees how far they are.
WARM_UP_SECONDS = 4 * 3600.0


async def compose(settings: InterceptionSettings, program: Program) -> None:
    """Recipes and lexicon, the models, the application, the server."""
    recipes = await open_shelf(settings)
    styles = load_prompt_styles(CONFIGS / "prompt_styles")
    models = Path(settings.models_file) if settings.models_file else CONFIGS / "models.yaml"
    table = table_with(settings, load_models(models))
    lexicon = load_lexicon()
    detector = Detector({"de": lexicon.de.knows, "en": lexicon.en.knows})
    providers = connect_all(settings, table, program)
    writers = WriterChoice(
        BuiltinWriter(lexicon),
        table,
        providers,
        detector,
        Translations(SystemClock()),
        local_only=settings.local_only,
    )
    interceptor = Interceptor(recipes, writers, detector, defect_of=recipes.defect_of)
    servicer = InterceptionServicer(
        interceptor,
        Rewriter(styles, interceptor.recipe, writers, detector),
        ProviderList(table, providers, SystemClock(), local_only=settings.local_only),
    )
    pass_seconds = table.longest_seconds + PASS_MARGIN_SECONDS
    server = GrpcServer(
        program.service,
        caps={
            "Intercept": pass_seconds,
            "RewritePrompt": pass_seconds,
            "WarmUp": WARM_UP_SECONDS,
        },
        serving=False,
    )
    interception_pb2_grpc.add_InterceptionServiceServicer_to_server(servicer, server.grpc)
    program.add_task(_serve_when_loaded(detector, server), "load language model")
    if settings.recipes_dir:
        program.add_task(recipes.watch(), "watch recipes of our own")
    await program.serve(server, settings.host, settings.port)


async def open_shelf(settings: InterceptionSettings) -> RecipeShelf:
    """All recipes, read once. Raises CatalogueError with every defect of the shipped ones."""
    folder = Path(settings.catalogue_dir) if settings.catalogue_dir else CONFIGS / "interception"
    shipped = load_recipes(folder)
    local = None
    if settings.recipes_dir:
        local = LocalRecipes(Path(settings.recipes_dir), frozenset(shipped))
    shelf = RecipeShelf(shipped, local)
    await shelf.refresh()
    return shelf


async def _serve_when_loaded(detector: Detector, server: GrpcServer) -> None:
    # Loaded before anybody is told to come, so that the first person does not wait for it.
    await detector.load()
    await server.set_serving(True)


def connect_all(
    settings: InterceptionSettings, table: ModelTable, program: Program
) -> dict[str, ProviderInUse | Keyless]:
    """The providers of the table, closed when the program ends."""
    providers: dict[str, ProviderInUse | Keyless] = {}
    for name, spec in table.providers.items():
        own = name == FROM_SETTINGS and bool(settings.openai_base_url)
        key = settings.openai_api_key.get_secret_value() if own else None
        provider = connect(spec, os.environ, key)
        providers[name] = provider
        if isinstance(provider, Keyless):
            log.warning(
                "a provider cannot be used", extra=facts(provider=name, why=provider.reason)
            )
        else:
            program.stack.push_async_callback(provider.chat.aclose)
    return providers


if __name__ == "__main__":
    run_program("interception", InterceptionSettings, compose)
