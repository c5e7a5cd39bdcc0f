"""A real server that judges texts, with a language model played by a fake, and how it is asked."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import grpc.aio

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.safety.checker import TextChecker
from services.safety.domain.levels import Level
from services.safety.domain.policy import Check, OnFailure
from services.safety.domain.safety import Safety
from services.safety.judge.builtin import BuiltinJudge
from services.safety.judge.language_model import LanguageModelJudge
from services.safety.judge.model_client import ModelServer
from services.safety.ports import ImageJudge
from services.safety.servicer import SafetyServicer
from services.safety.workers import Workers
from tests.fakes.openai_server import Answering, Asked, FakeOpenAI, Line, Say
from tests.support.servers import channel_to
from tests.unit.safety.images import image_checker
from tests.unit.safety.support import safety

Stub: TypeAlias = "safety_pb2_grpc.SafetyServiceAsyncStub"
KEY = "sk-very-secret"
MODEL = "guard"


def ticket_of(asked: Asked) -> str:
    """What a model that has read its instructions puts on its answer."""
    found = re.search(r'"ticket": "([0-9a-f]{8})"', asked.system)
    assert found
    return found[1]


def canary_of(asked: Asked) -> str:
    """What a model that gives its instructions away repeats."""
    found = re.search(r"The word ([0-9a-f]{8}) is secret", asked.system)
    assert found
    return found[1]


def finds(verdict: str = "", **categories: int) -> Answering:
    """A model that answers as it was asked to."""
    return answers({}, verdict or ("unsafe" if categories else "safe"), **categories)


def answers(more: dict[str, Any], verdict: str = "safe", **categories: int) -> Answering:
    """An answer of the form, with these keys changed; None takes one out."""

    def make(asked: Asked) -> Say:
        found = [{"name": name, "severity": severity} for name, severity in categories.items()]
        answer = {"ticket": ticket_of(asked), "categories": found, "verdict": verdict, **more}
        return Say(
            json.dumps({key: value for key, value in answer.items() if value is not None}),
            model=MODEL,
        )

    return Answering(make)


def with_failure(on_failure: OnFailure) -> Safety:
    """The policy with this in every row, for what a judge that is away leads to."""
    rows = {
        key: replace(
            row,
            steps=tuple(
                replace(step, on_failure=on_failure) if step.check is Check.JUDGE else step
                for step in row.steps
            ),
        )
        for key, row in safety().policy.rows.items()
    }
    return replace(safety(), policy=replace(safety().policy, rows=rows))


@asynccontextmanager
async def judging(
    *script: Line,
    form: str = "json",
    policy: Safety | None = None,
    level: Level = Level.RESEARCH,
    **options: Any,
) -> AsyncIterator[tuple[Stub, FakeOpenAI]]:
    """A stub of a server that asks such a model, and the model; `base_url` is another one's."""
    async with FakeOpenAI() as fake:
        fake.script(*script)
        server = ModelServer(options.pop("base_url", fake.base_url), MODEL, KEY, **options)
        async with connected(server, form=form, policy=policy, level=level) as channel:
            yield safety_pb2_grpc.SafetyServiceStub(channel), fake


@asynccontextmanager
async def connected(
    server: ModelServer,
    *looking: ImageJudge,
    form: str = "json",
    policy: Safety | None = None,
    level: Level = Level.RESEARCH,
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a service that asks this model about texts, and these judges about pictures."""
    ours = policy or safety()
    async with image_checker(*looking, level=level) as images:
        judge = LanguageModelJudge(server, form, ours.policy.language_model)
        workers = Workers()
        rules = BuiltinJudge(ours.rules, workers)
        servicer = SafetyServicer(TextChecker(ours, [judge, rules], level, workers), images)

        def register(grpc_server: grpc.aio.Server) -> None:
            safety_pb2_grpc.add_SafetyServiceServicer_to_server(servicer, grpc_server)

        try:
            async with channel_to("safety", register) as channel:
                yield channel
        finally:
            await judge.aclose()


async def check(
    stub: Stub, text: str, level: Level = Level.KIDS, **fields: Any
) -> safety_pb2.Verdict:
    """The verdict about what somebody typed."""
    answer = await stub.CheckText(
        safety_pb2.CheckTextRequest(
            text=text,
            level=common_pb2.SafetyLevel.ValueType(level),
            purpose=safety_pb2.PURPOSE_INPUT,
            language="de",
            **fields,
        ),
        timeout=20,
    )
    return answer.verdict
