"""The safety service: settings, lists and policy, judges of texts and of pictures, server."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from pathlib import Path

from artlab.safety.v1 import safety_pb2_grpc
from services.kit.catalogue import CatalogueError
from services.kit.log import facts
from services.kit.program import Program, run_program
from services.kit.server import GrpcServer
from services.safety.catalogue import load_safety
from services.safety.checker import TextChecker
from services.safety.domain.levels import LEVELS_BY_LABEL
from services.safety.domain.safety import Safety
from services.safety.images.checker import ByteLimits, ImageChecker
from services.safety.images.decoder import Decoder
from services.safety.images.spool import Spools
from services.safety.judge.builtin import BuiltinJudge
from services.safety.judge.nudenet import NudenetJudge
from services.safety.ports import ImageJudge, Judge
from services.safety.servicer import SafetyServicer
from services.safety.settings import SafetySettings
from services.safety.workers import Workers

log = logging.getLogger(__name__)

# A film of two gigabytes comes in, is decoded, and nine of its frames are judged.
CHECK_IMAGE_SECONDS = 170.0


async def compose(settings: SafetySettings, program: Program) -> None:
    """Put the service together and serve until told to stop."""
    safety = _load(settings.configs / "safety")
    level = LEVELS_BY_LABEL[settings.level]
    # Where a judge elsewhere must be there, nobody is sent here before it was.
    waits = bool(settings.judge_base_url) and safety.policy.needs_every_judge(level)
    server = GrpcServer("safety", caps={"CheckImage": CHECK_IMAGE_SECONDS}, serving=not waits)
    checker = compose_texts(settings, safety, program, server if waits else None)
    images = compose_images(settings, safety, program.stack)
    servicer = SafetyServicer(checker, images)
    safety_pb2_grpc.add_SafetyServiceServicer_to_server(servicer, server.grpc)
    log.info(
        "policy",
        extra=facts(
            safety_level=settings.level,
            judges=[judge.version for judge in checker.judges],
            image_judges=[image_judge.version for image_judge in images.judges],
            version=safety.version,
        ),
    )
    program.add_task(images.load(), "load image judges")
    await program.serve(server, settings.host, settings.port)


def compose_texts(
    settings: SafetySettings, safety: Safety, program: Program, server: GrpcServer | None
) -> TextChecker:
    """Who judges texts; all of it is closed with the program.

    `server` is told whether the judges are there, if it serves only with all of them. Raises
    FailedPrecondition TEXT_JUDGE_MISSING when the policy wants a judge that is not set up.
    """
    workers = Workers()
    judges: list[Judge] = [BuiltinJudge(safety.rules, workers)]
    if settings.judge_base_url:
        # Slow to import, and needed only here.
        from services.safety.judge.language_model import LanguageModelJudge
        from services.safety.judge.model_client import ModelServer
        from services.safety.judge.watch import WatchedJudge

        model = ModelServer(
            settings.judge_base_url,
            settings.judge_model,
            settings.judge_api_key.get_secret_value(),
            settings.judge_timeout_seconds,
            settings.judge_at_once,
            settings.judge_waiting,
            passes_on=settings.judge_is_remote,
        )
        form = settings.judge_format
        judge = LanguageModelJudge(model, form, safety.policy.language_model)
        watched = WatchedJudge(judge, server.set_serving if server else None)
        program.add_task(watched.run(), "watch the judge")
        judges.append(watched)
    for one in judges:
        program.stack.push_async_callback(one.aclose)
    checker = TextChecker(safety, judges, LEVELS_BY_LABEL[settings.level], workers)
    checker.require_judges()
    return checker


def compose_images(settings: SafetySettings, safety: Safety, stack: AsyncExitStack) -> ImageChecker:
    """Who looks at pictures, and with what; all of it is closed with the stack."""
    judges: list[ImageJudge] = []
    if settings.nudenet:
        judges.append(NudenetJudge())
    if settings.vision_base_url:
        # Slow to import, and needed only here.
        from services.safety.judge.model_client import ModelServer
        from services.safety.judge.vision import VisionJudge

        server = ModelServer(
            settings.vision_base_url,
            settings.vision_model,
            settings.vision_api_key.get_secret_value(),
            settings.vision_timeout_seconds,
            settings.vision_at_once,
            passes_on=settings.vision_is_remote,
        )
        judges.append(VisionJudge(server, safety.images.categories))
    spools = Spools(settings.spool_dir, settings.images_at_once, settings.images_waiting)
    spools.check()
    decoder = Decoder()
    stack.push_async_callback(decoder.aclose)
    for judge in judges:
        stack.push_async_callback(judge.aclose)
    return ImageChecker(
        safety,
        judges,
        LEVELS_BY_LABEL[settings.level],
        decoder,
        spools,
        ByteLimits(settings.picture_max_bytes, settings.film_max_bytes),
    )


def _load(folder: Path) -> Safety:
    try:
        return load_safety(folder)
    except CatalogueError as error:
        # The error's own message stops after twenty; whoever repairs a list wants all of them.
        for defect in error.defects:
            log.error(
                "defect", extra=facts(file=defect.file, field=defect.field, why=defect.reason)
            )
        raise


def main() -> None:
    """Run the service."""
    run_program("safety", SafetySettings, compose)


if __name__ == "__main__":
    main()
