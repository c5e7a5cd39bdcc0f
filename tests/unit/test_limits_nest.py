"""Limits of different services that must fit into each other, which no single one can see."""

from __future__ import annotations

from typing import Any

from annotated_types import Le
from pydantic import BaseModel

from services.cli.gateway_client import IMAGE_SECONDS as IMAGE_OF_CLI_SECONDS
from services.gateway.clients import CANCEL_SECONDS, INPUT_IMAGE_SECONDS, START_SECONDS
from services.gateway.uploads import UPLOAD_SECONDS
from services.interception.__main__ import PASS_MARGIN_SECONDS
from services.interception.settings import InterceptionSettings
from services.kit.deadline import MARGIN_SECONDS
from services.kit.interceptors import DEFAULT_CAP_SECONDS
from services.kit.program import DRAIN_SECONDS
from services.kit.settings import load_settings
from services.media.output_files import OutputFile
from services.media.servicer import CAPS as MEDIA_CAPS
from services.media.settings import MediaSettings
from services.orchestrator.clients.interception import PASS_SECONDS
from services.orchestrator.clients.media import GENERATE_SECONDS, PREPARE_SECONDS
from services.orchestrator.clients.safety import IMAGE_SECONDS
from services.orchestrator.life import RECORDER_MARGIN_SECONDS
from services.orchestrator.pipeline import MEDIA_STOP_SECONDS
from services.orchestrator.servicer import CAPS as ORCHESTRATOR_CAPS
from services.orchestrator.settings import OrchestratorSettings
from services.safety.__main__ import CHECK_IMAGE_SECONDS


def _most(kind: type[BaseModel], field: str) -> float:
    bounds: list[Any] = kind.model_fields[field].metadata
    for bound in bounds:
        if isinstance(bound, Le):
            return float(str(bound.le))
    raise AssertionError(f"{field} has no upper bound")


def test_a_pass_is_ended_by_the_interception_service_before_the_orchestrator_loses_patience() -> (
    None
):
    longest = _most(InterceptionSettings, "openai_timeout_seconds")
    assert longest + PASS_MARGIN_SECONDS < PASS_SECONDS


def test_an_output_is_ended_by_its_config_before_anybody_who_waits_for_it_gives_up() -> None:
    longest = _most(OutputFile, "deadline_seconds")
    assert longest < GENERATE_SECONDS
    assert longest < MEDIA_CAPS["GenerateMedia"]


def test_a_longest_run_has_a_deadline_the_recorder_takes() -> None:
    assert _most(OrchestratorSettings, "run_limit_seconds") + RECORDER_MARGIN_SECONDS < 24 * 3600


def test_a_stop_leaves_time_to_end_a_run_after_media_was_told() -> None:
    assert MEDIA_STOP_SECONDS + MARGIN_SECONDS < DRAIN_SECONDS


def test_a_picture_is_given_up_by_the_safety_service_before_the_orchestrator_loses_patience() -> (
    None
):
    assert CHECK_IMAGE_SECONDS + MARGIN_SECONDS < IMAGE_SECONDS


def test_who_starts_or_cancels_waits_as_long_as_he_may_be_kept_waiting() -> None:
    assert START_SECONDS >= DEFAULT_CAP_SECONDS
    assert CANCEL_SECONDS >= DEFAULT_CAP_SECONDS


def test_who_brings_or_checks_a_picture_waits_as_long_as_that_may_take() -> None:
    assert CHECK_IMAGE_SECONDS <= IMAGE_SECONDS
    assert MEDIA_CAPS["PrepareImage"] <= PREPARE_SECONDS
    assert PREPARE_SECONDS + IMAGE_SECONDS <= ORCHESTRATOR_CAPS["AddInputImage"]
    assert UPLOAD_SECONDS < PREPARE_SECONDS
    assert ORCHESTRATOR_CAPS["AddInputImage"] <= INPUT_IMAGE_SECONDS < IMAGE_OF_CLI_SECONDS


def test_every_run_in_work_finds_room_for_its_output() -> None:
    media = load_settings("media", MediaSettings, {})
    orchestrator = load_settings("orchestrator", OrchestratorSettings, {})
    assert media.max_jobs >= orchestrator.max_runs
