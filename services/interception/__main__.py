"""The interception service, put together."""

from __future__ import annotations

from pathlib import Path

from artlab.interception.v1 import interception_pb2_grpc
from services.interception.catalogue import load_recipes
from services.interception.choice import WriterChoice
from services.interception.interceptor import Interceptor
from services.interception.language import Detector
from services.interception.providers.endpoint import Endpoint
from services.interception.servicer import InterceptionServicer
from services.interception.settings import InterceptionSettings
from services.interception.writer.builtin import BuiltinWriter
from services.interception.writer.lexicon_files import load_lexicon
from services.kit.catalogue import CONFIGS
from services.kit.program import Program, run_program
from services.kit.server import GrpcServer

# What a pass by a model may take, besides what the model itself may.
PASS_MARGIN_SECONDS = 5.0


async def compose(settings: InterceptionSettings, program: Program) -> None:
    """Recipes and lexicon, the writers, the application, the server."""
    folder = Path(settings.recipes_dir) if settings.recipes_dir else CONFIGS / "interception"
    recipes = load_recipes(folder)
    lexicon = load_lexicon()
    detector = Detector({"de": lexicon.de.knows, "en": lexicon.en.knows})
    writers = await compose_writers(settings, program, BuiltinWriter(lexicon))
    servicer = InterceptionServicer(Interceptor(recipes, writers, detector))
    server = GrpcServer(
        program.service,
        caps={"Intercept": settings.openai_timeout_seconds + PASS_MARGIN_SECONDS},
        serving=False,
    )
    interception_pb2_grpc.add_InterceptionServiceServicer_to_server(servicer, server.grpc)
    program.add_task(_serve_when_loaded(detector, server), "load language model")
    await program.serve(server, settings.host, settings.port)


async def _serve_when_loaded(detector: Detector, server: GrpcServer) -> None:
    # Loaded before anybody is told to come, so that the first person does not wait for it.
    await detector.load()
    await server.set_serving(True)


async def compose_writers(
    settings: InterceptionSettings, program: Program, builtin: BuiltinWriter
) -> WriterChoice:
    """The built-in writer, and the model where one is configured."""
    if not settings.openai_base_url:
        return WriterChoice(builtin)
    # Slow to import, and needed only here.
    from services.interception.providers.openai_chat import ChatServer, OpenAIWriter

    # What goes through a proxy leaves, wherever it is addressed to.
    passed_on = settings.openai_is_remote or bool(settings.openai_proxy)
    endpoint = Endpoint(settings.openai_base_url, passed_on)
    model = OpenAIWriter(
        ChatServer(
            base_url=settings.openai_base_url,
            model=settings.openai_model,
            api_key=settings.openai_api_key.get_secret_value(),
            proxy=settings.openai_proxy,
            timeout_seconds=settings.openai_timeout_seconds,
            silence_seconds=settings.openai_first_token_seconds,
            at_once=settings.openai_concurrency,
            waiting=settings.openai_waiting,
        )
    )
    program.stack.push_async_callback(model.aclose)
    return WriterChoice(builtin, model, endpoint, local_only=settings.local_only)


if __name__ == "__main__":
    run_program("interception", InterceptionSettings, compose)
