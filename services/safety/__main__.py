"""The safety service: settings, lists and policy, judge, server."""

from __future__ import annotations

import logging
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
from services.safety.judge.builtin import BuiltinJudge
from services.safety.servicer import SafetyServicer
from services.safety.settings import SafetySettings
from services.safety.workers import Workers

log = logging.getLogger(__name__)


async def compose(settings: SafetySettings, program: Program) -> None:
    """Put the service together and serve until told to stop."""
    safety = _load(settings.configs / "safety")
    workers = Workers()
    judge = BuiltinJudge(safety.rules, workers)
    checker = TextChecker(safety, judge, LEVELS_BY_LABEL[settings.level], workers)
    server = GrpcServer("safety")
    safety_pb2_grpc.add_SafetyServiceServicer_to_server(SafetyServicer(checker), server.grpc)
    log.info(
        "policy", extra=facts(safety_level=settings.level, judge=judge.name, version=safety.version)
    )
    await program.serve(server, settings.host, settings.port)


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
