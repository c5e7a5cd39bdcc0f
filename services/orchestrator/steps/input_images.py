"""Before stage 1: a run waits for the pictures its person was to bring."""

from __future__ import annotations

from services.orchestrator.engine.step import JsonObject, StepScope
from services.orchestrator.input_images import InputImages
from services.orchestrator.steps.place import INPUT_IMAGES, service

TYPE = "input_images"


class AwaitInputImages:
    """Takes nothing; gives `sequences` of the recorded pictures, in the order of their indices."""

    TAKES = frozenset[str]()
    GIVES = frozenset({"sequences"})

    async def restore(self, inputs: JsonObject, scope: StepScope) -> JsonObject | None:
        """Return them when all are there. Raises Blocked when one was refused."""
        found = await service(scope, INPUT_IMAGES, InputImages).found()
        return None if found is None else {"sequences": list(found)}

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Wait for all. Raises Blocked, DeadlineExceeded INPUT_IMAGE_MISSING."""
        sequences = await service(scope, INPUT_IMAGES, InputImages).all_there()
        return {"sequences": list(sequences)}
