"""A text or picture that may not leave reaches no judge on somebody else's machine.

Connections to such a machine are counted; that judge is absent then, and nothing is weaker than
the policy says.
"""

from __future__ import annotations

import pytest

from artlab.safety.v1 import safety_pb2
from services.safety.domain.levels import Level
from services.safety.domain.policy import OnFailure
from services.safety.judge.model_client import ModelServer
from services.safety.judge.vision import VisionJudge
from tests.integration.safety.image_server import check as look
from tests.integration.safety.image_server import serving
from tests.integration.safety.text_server import MODEL, check, finds, judging, with_failure
from tests.support.elsewhere import Elsewhere
from tests.support.rpc import refused
from tests.unit.safety.images import MagentaJudge, encoded, magenta, meadow
from tests.unit.safety.support import safety

TEXT = "Ein Hund im Regen"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.safety.judge.model_client.BACKOFF_SECONDS", 0.005)


async def test_where_every_judge_is_wanted_such_a_text_has_no_verdict_and_no_connection() -> None:
    async with Elsewhere() as elsewhere, judging(base_url=elsewhere.far_url) as (stub, _):
        for level in (Level.KIDS, Level.YOUTH, Level.ADULT, Level.RESEARCH):
            async with refused("FAILED_PRECONDITION", "SAFETY_JUDGE_REMOTE") as seen:
                await check(stub, TEXT, level, local_only=True)
            assert MODEL in seen.message
            assert TEXT not in seen.message
        # What is refused here has its verdict: nobody else had to be asked.
        verdict = await check(stub, "Ein Hakenkreuz", local_only=True)
        assert verdict.rule == "kids.hate_symbols"
        assert elsewhere.connections == 0
        # The count counts: without the promise it is asked.
        async with refused("UNAVAILABLE", "SAFETY_UNAVAILABLE"):
            await check(stub, TEXT)
        assert elsewhere.connections > 0


async def test_where_the_rules_are_enough_they_judge_alone_and_the_verdict_says_so() -> None:
    policy = with_failure(OnFailure.BUILTIN)
    async with (
        Elsewhere() as elsewhere,
        judging(base_url=elsewhere.far_url, policy=policy) as (stub, _),
    ):
        verdict = await check(stub, TEXT, local_only=True)
        assert verdict.decision == safety_pb2.DECISION_SAFE
        assert list(verdict.checks)[-1] == f"judge:builtin:{safety().rules.version}"
        assert verdict.used.backend == "builtin"
        assert not (await check(stub, "Ein Mann tötet eine Frau", local_only=True)).decision == (
            safety_pb2.DECISION_SAFE
        )
        assert elsewhere.connections == 0


async def test_a_model_near_by_is_asked_as_ever_and_one_that_passes_texts_on_is_not() -> None:
    async with judging(finds(violence=2)) as (stub, near):
        verdict = await check(stub, TEXT, local_only=True)
        assert (verdict.rule, len(near.requests)) == ("kids.violence", 1)
    async with judging(finds(), passes_on=True) as (stub, near):
        async with refused("FAILED_PRECONDITION", "SAFETY_JUDGE_REMOTE"):
            await check(stub, TEXT, local_only=True)
        assert not near.requests
        assert (await check(stub, TEXT)).decision == safety_pb2.DECISION_SAFE
        assert len(near.requests) == 1


async def test_such_a_picture_is_shown_to_nobody_elsewhere() -> None:
    async with Elsewhere() as elsewhere:
        server = ModelServer(elsewhere.far_url, "llava")
        vision = VisionJudge(server, safety().images.categories)
        async with serving(MagentaJudge(), vision) as stub:
            async with refused("FAILED_PRECONDITION", "SAFETY_JUDGE_REMOTE"):
                await look(stub, encoded(meadow()), local_only=True)
            found = await look(stub, encoded(magenta()), local_only=True)
            assert (found.verdict.rule, list(found.verdict.checks)) == (
                "kids.nudity",
                [MagentaJudge.version],
            )
            assert elsewhere.connections == 0
            async with refused("UNAVAILABLE", "IMAGE_JUDGE_UNAVAILABLE"):
                await look(stub, encoded(meadow()))
            assert elsewhere.connections > 0
