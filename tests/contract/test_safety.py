"""The safety contract: every malformed field is refused with its path, every answer is whole.

With ``ARTLAB_TARGET=host:port`` the same claims are made about a live service.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.catalogue import CONFIGS
from services.kit.channel import open_channel
from services.safety.catalogue import load_safety
from services.safety.checker import TextChecker
from services.safety.domain.levels import Level
from services.safety.judge.builtin import BuiltinJudge
from services.safety.servicer import SafetyServicer
from services.safety.workers import Workers
from tests.support.rpc import refused
from tests.support.servers import channel_to
from tests.unit.safety.images import encoded, image_checker, meadow

TIMEOUT_SECONDS = 5.0
SAFETY = load_safety(CONFIGS / "safety")


@pytest.fixture
async def stub() -> AsyncIterator[safety_pb2_grpc.SafetyServiceAsyncStub]:
    target = os.environ.get("ARTLAB_TARGET")
    if target:
        async with open_channel(target) as channel:
            yield safety_pb2_grpc.SafetyServiceStub(channel)
        return
    async with own_channel() as channel:
        yield safety_pb2_grpc.SafetyServiceStub(channel)


@asynccontextmanager
async def own_channel() -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a service in this process."""
    workers = Workers()
    checker = TextChecker(SAFETY, [BuiltinJudge(SAFETY.rules, workers)], Level.YOUTH, workers)
    async with image_checker() as images:
        servicer = SafetyServicer(checker, images)

        def register(server: grpc.aio.Server) -> None:
            safety_pb2_grpc.add_SafetyServiceServicer_to_server(servicer, server)

        async with channel_to("safety", register) as channel:
            yield channel


def request(**fields: Any) -> safety_pb2.CheckTextRequest:
    values: dict[str, Any] = {
        "text": "Ein Hund im Regen",
        "level": common_pb2.SAFETY_LEVEL_KIDS,
        "purpose": safety_pb2.PURPOSE_INPUT,
    }
    return safety_pb2.CheckTextRequest(**{**values, **fields})


PROMPT = safety_pb2.PURPOSE_MEDIA_PROMPT
IMAGE_PURPOSES = (safety_pb2.PURPOSE_IMAGE, safety_pb2.PURPOSE_INPUT_IMAGE)
MALFORMED: list[tuple[dict[str, Any], str, str]] = [
    ({"text": ""}, "EMPTY_TEXT", "text"),
    ({"text": " \n\t"}, "EMPTY_TEXT", "text"),
    ({"text": "\ufeff"}, "EMPTY_TEXT", "text"),
    ({"text": "a" * 20_001}, "TEXT_TOO_LONG", "text"),
    ({"text": "💩" * 16_385}, "TEXT_TOO_LONG", "text"),
    ({"text": "a\x00b"}, "INVALID_CHARACTER", "text"),
    ({"text": "a\x1b[31mb"}, "INVALID_CHARACTER", "text"),
    ({"level": common_pb2.SAFETY_LEVEL_UNSPECIFIED}, "INVALID_LEVEL", "level"),
    ({"level": 99}, "INVALID_LEVEL", "level"),
    ({"level": -1}, "INVALID_LEVEL", "level"),
    ({"purpose": safety_pb2.PURPOSE_UNSPECIFIED}, "INVALID_PURPOSE", "purpose"),
    ({"purpose": 99}, "INVALID_PURPOSE", "purpose"),
    ({"purpose": safety_pb2.PURPOSE_IMAGE}, "INVALID_PURPOSE", "purpose"),
    ({"language": "deutsch, bitte"}, "INVALID_LANGUAGE", "language"),
    ({"language": "de\n"}, "INVALID_LANGUAGE", "language"),
    ({"language": "-"}, "INVALID_LANGUAGE", "language"),
    ({"language": "d" * 1000}, "INVALID_LANGUAGE", "language"),
    ({"purpose": PROMPT}, "INVALID_KIND", "kind"),
    ({"purpose": PROMPT, "kind": 99}, "INVALID_KIND", "kind"),
    ({"kind": common_pb2.MEDIA_KIND_IMAGE}, "INVALID_KIND", "kind"),
    ({"kind": 99}, "INVALID_KIND", "kind"),
]


@pytest.mark.parametrize(("fields", "reason", "field"), MALFORMED)
async def test_each_malformed_field_of_check_text_is_refused_with_its_path(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
    fields: dict[str, Any],
    reason: str,
    field: str,
) -> None:
    async with refused("INVALID_ARGUMENT", reason, field) as seen:
        await stub.CheckText(request(**fields), timeout=TIMEOUT_SECONDS)
    assert "Hund" not in seen.message


async def test_fields_are_checked_in_the_order_of_the_contract(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
) -> None:
    async with refused("INVALID_ARGUMENT", "EMPTY_TEXT", "text"):
        await stub.CheckText(safety_pb2.CheckTextRequest(), timeout=TIMEOUT_SECONDS)


async def test_a_level_laxer_than_the_servers_is_denied(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
) -> None:
    policy = await stub.GetPolicy(safety_pb2.GetPolicyRequest(), timeout=TIMEOUT_SECONDS)
    levels = common_pb2.SafetyLevel.values()
    for level in (level for level in levels if level > policy.level):
        async with refused("PERMISSION_DENIED", "SAFETY_LEVEL_TOO_LAX", "level"):
            await stub.CheckText(request(level=level), timeout=TIMEOUT_SECONDS)
    for level in (level for level in levels if 0 < level <= policy.level):
        answer = await stub.CheckText(request(level=level), timeout=TIMEOUT_SECONDS)
        assert answer.verdict.level == level


@pytest.mark.parametrize(
    "purpose", [p for p in safety_pb2.Purpose.values() if p and p not in IMAGE_PURPOSES]
)
async def test_a_safe_verdict_is_whole(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub, purpose: safety_pb2.Purpose.ValueType
) -> None:
    kind = common_pb2.MEDIA_KIND_IMAGE if purpose == PROMPT else 0
    answer = await stub.CheckText(request(purpose=purpose, kind=kind), timeout=TIMEOUT_SECONDS)
    verdict = answer.verdict
    assert verdict.decision == safety_pb2.DECISION_SAFE
    assert (verdict.rule, verdict.explanation, verdict.suggestion) == ("", "", "")
    assert verdict.purpose == purpose
    assert verdict.level == common_pb2.SAFETY_LEVEL_KIDS
    assert verdict.checks
    assert verdict.used.task == "safety"
    assert verdict.used.backend
    assert verdict.language == "en"


async def test_a_blocked_verdict_is_a_normal_answer_and_teaches(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
) -> None:
    asked = request(text="Male ein H4kenkreuz", language="de")
    verdict = (await stub.CheckText(asked, timeout=TIMEOUT_SECONDS)).verdict
    assert verdict.decision == safety_pb2.DECISION_BLOCKED
    assert verdict.rule == "kids.hate_symbols"
    assert list(verdict.codes) == ["hate_symbols"]
    assert list(verdict.terms) == ["H4kenkreuz"]
    assert verdict.explanation
    assert verdict.suggestion
    assert verdict.language == "de"


async def test_the_same_text_gets_the_same_verdict(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
) -> None:
    for text in ("Ein Hund", "Hakenkreuz"):
        answers = [
            await stub.CheckText(request(text=text), timeout=TIMEOUT_SECONDS) for _ in range(2)
        ]
        assert answers[0] == answers[1]


async def test_the_longest_texts_allowed_are_judged(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
) -> None:
    for text in ("a" * 20_000, "💩" * 16_384, "a" + "\u0301" * 10_000):
        answer = await stub.CheckText(request(text=text), timeout=TIMEOUT_SECONDS)
        assert answer.verdict.decision == safety_pb2.DECISION_SAFE


async def test_the_policy_names_its_level_judges_and_version(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
) -> None:
    policy = await stub.GetPolicy(safety_pb2.GetPolicyRequest(), timeout=TIMEOUT_SECONDS)
    assert policy.level in common_pb2.SafetyLevel.values()[1:]
    assert policy.judges
    assert policy.image_judges
    assert list(policy.image_check_levels) == [
        common_pb2.SAFETY_LEVEL_KIDS,
        common_pb2.SAFETY_LEVEL_YOUTH,
    ]
    assert re.fullmatch("[0-9a-f]{8}", policy.version)


async def test_the_policy_tells_the_whole_table(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
) -> None:
    policy = await stub.GetPolicy(safety_pb2.GetPolicyRequest(), timeout=TIMEOUT_SECONDS)
    levels = common_pb2.SafetyLevel.values()[1:]
    purposes = [p for p in safety_pb2.Purpose.values() if p and p not in IMAGE_PURPOSES]
    cells = [(row.level, row.purpose) for row in policy.rows]
    assert len(cells) == len(set(cells))
    assert set(cells) == {(level, purpose) for level in levels for purpose in purposes}
    assert [level for level, _ in cells] == sorted(level for level, _ in cells)
    assert set(policy.always_refused) >= {"sexualised_minors", "mass_harm"}
    for row in policy.rows:
        checks = {check.check: check for check in row.checks}
        assert {"wordlist", "judge"} <= set(checks)
        assert "builtin" in checks["judge"].judges
        assert all(check.on_hit and check.on_failure for check in row.checks)
        rules = {rule.category: rule for rule in row.rules}
        assert list(rules) == list(policy.categories)
        for name in policy.always_refused:
            assert (rules[name].outcome, rules[name].severity) == (safety_pb2.OUTCOME_BLOCK, 1)
        for rule in row.rules:
            assert 1 <= rule.severity <= 3
            assert bool(rule.signals) is (rule.outcome == safety_pb2.OUTCOME_CONTEXT)
        if row.level <= common_pb2.SAFETY_LEVEL_ADULT:
            assert rules["hate_symbols"].outcome != safety_pb2.OUTCOME_ALLOW
    assert [row.level for row in policy.image_rows] == levels
    assert [r.level for r in policy.image_rows if r.checked] == list(policy.image_check_levels)
    assert all(0 < limit.score <= 1 for row in policy.image_rows for limit in row.limits)
    assert {one.language for one in policy.lists} >= {"de", "en"}
    for one in policy.lists:
        assert one.terms > 0
        assert re.fullmatch("[0-9a-f]{8}", one.version)
    codes = {one.code: one for one in policy.guard_codes}
    assert len(codes) == len(policy.guard_codes)
    assert codes[""].severity == 3
    assert {one.category for one in codes.values()} <= set(policy.categories)


PNG = encoded(meadow())


def image_messages(
    *pieces: bytes, later: dict[str, Any] | None = None, **fields: Any
) -> Iterator[safety_pb2.CheckImageRequest]:
    values: dict[str, Any] = {
        "level": common_pb2.SAFETY_LEVEL_KIDS,
        "purpose": safety_pb2.PURPOSE_IMAGE,
        "media_type": "image/png",
    }
    first, *rest = pieces
    yield safety_pb2.CheckImageRequest(**{**values, "data": first, **fields})
    for piece in rest:
        yield safety_pb2.CheckImageRequest(data=piece, **(later or {}))


MALFORMED_IMAGES: list[tuple[dict[str, Any], str, str]] = [
    ({"level": common_pb2.SAFETY_LEVEL_UNSPECIFIED}, "INVALID_LEVEL", "level"),
    ({"level": 99}, "INVALID_LEVEL", "level"),
    ({"purpose": safety_pb2.PURPOSE_UNSPECIFIED}, "INVALID_PURPOSE", "purpose"),
    ({"purpose": safety_pb2.PURPOSE_INPUT}, "INVALID_PURPOSE", "purpose"),
    ({"purpose": 99}, "INVALID_PURPOSE", "purpose"),
    ({"language": "deutsch, bitte"}, "INVALID_LANGUAGE", "language"),
    ({"media_type": ""}, "MEDIA_TYPE_NOT_ALLOWED", "media_type"),
    ({"media_type": "image/svg+xml"}, "MEDIA_TYPE_NOT_ALLOWED", "media_type"),
    ({"media_type": "audio/wav"}, "MEDIA_TYPE_NOT_ALLOWED", "media_type"),
    ({"media_type": "IMAGE/PNG"}, "MEDIA_TYPE_NOT_ALLOWED", "media_type"),
    ({"media_type": "image/jpeg"}, "MEDIA_KIND_MISMATCH", "media_type"),
    ({"data": b""}, "EMPTY_MEDIA", "data"),
    ({"data": PNG + bytes(256 * 1024)}, "MESSAGE_TOO_LARGE", "data"),
    ({"data": b"<svg onload='x'/>"}, "MEDIA_TYPE_NOT_ALLOWED", "data"),
]


@pytest.mark.parametrize(("fields", "reason", "field"), MALFORMED_IMAGES)
async def test_each_malformed_field_of_check_image_is_refused_with_its_path(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
    fields: dict[str, Any],
    reason: str,
    field: str,
) -> None:
    async with refused("INVALID_ARGUMENT", reason, field):
        await stub.CheckImage(image_messages(PNG, **fields), timeout=TIMEOUT_SECONDS)


async def test_no_message_at_all_is_refused_by_the_first_field(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
) -> None:
    async with refused("INVALID_ARGUMENT", "INVALID_LEVEL", "level"):
        await stub.CheckImage(iter(()), timeout=TIMEOUT_SECONDS)


@pytest.mark.parametrize(
    "later", [{"level": common_pb2.SAFETY_LEVEL_RESEARCH}, {"purpose": 7}, {"language": "de"}]
)
async def test_only_the_first_message_says_what_the_bytes_are(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub, later: dict[str, Any]
) -> None:
    messages = image_messages(PNG[:100], PNG[100:], later=later)
    async with refused("INVALID_ARGUMENT", "FIRST_MESSAGE_ONLY", next(iter(later))):
        await stub.CheckImage(messages, timeout=TIMEOUT_SECONDS)


async def test_a_level_laxer_than_the_servers_is_denied_for_pictures_as_well(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
) -> None:
    policy = await stub.GetPolicy(safety_pb2.GetPolicyRequest(), timeout=TIMEOUT_SECONDS)
    for level in (level for level in common_pb2.SafetyLevel.values() if level > policy.level):
        async with refused("PERMISSION_DENIED", "SAFETY_LEVEL_TOO_LAX", "level"):
            await stub.CheckImage(image_messages(PNG, level=level), timeout=TIMEOUT_SECONDS)


@pytest.mark.parametrize("purpose", IMAGE_PURPOSES)
async def test_a_safe_verdict_about_a_picture_is_whole(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub, purpose: safety_pb2.Purpose.ValueType
) -> None:
    messages = image_messages(PNG[:100], PNG[100:], purpose=purpose, language="de-AT")
    answer = await stub.CheckImage(messages, timeout=TIMEOUT_SECONDS)
    verdict = answer.verdict
    assert verdict.decision == safety_pb2.DECISION_SAFE
    assert (verdict.rule, verdict.explanation, verdict.suggestion) == ("", "", "")
    assert (verdict.purpose, verdict.level) == (purpose, common_pb2.SAFETY_LEVEL_KIDS)
    assert (verdict.language, verdict.used.task) == ("de", "safety")
    assert verdict.checks
    assert verdict.used.model
    assert not answer.keep_blocked


async def test_bytes_that_are_no_message_are_refused(
    stub: safety_pb2_grpc.SafetyServiceAsyncStub,
) -> None:
    target = os.environ.get("ARTLAB_TARGET")
    if target:
        pytest.skip("the channel of a live service is not ours to reuse")
    async with own_channel() as channel:
        call: Any = channel.unary_unary("/artlab.safety.v1.SafetyService/CheckText")
        # A lone surrogate in UTF-8 is no string of protobuf, as are bytes at random.
        for data in (b"\xff\xff\xff", b"\x0a\x03\xed\xa0\x80"):
            async with refused("INVALID_ARGUMENT", "MALFORMED_MESSAGE"):
                await call(data, timeout=TIMEOUT_SECONDS)


def test_every_rpc_of_the_contract_is_implemented() -> None:
    methods = safety_pb2.DESCRIPTOR.services_by_name["SafetyService"].methods_by_name
    assert all(name in vars(SafetyServicer) for name in methods)
