"""Limits of different services that must fit into each other, which no single one can see."""

from __future__ import annotations

from typing import Any

import yaml
from annotated_types import Ge, Le
from pydantic import BaseModel

from services.cli.gateway_client import IMAGE_SECONDS as IMAGE_OF_CLI_SECONDS
from services.gateway.clients import CANCEL_SECONDS, INPUT_IMAGE_SECONDS, START_SECONDS
from services.gateway.uploads import UPLOAD_SECONDS
from services.interception.__main__ import PASS_MARGIN_SECONDS
from services.interception.models_file import LONGEST_CHAIN_SECONDS, ProviderFile
from services.interception.settings import InterceptionSettings
from services.kit.catalogue import CONFIGS
from services.kit.deadline import MARGIN_SECONDS
from services.kit.interceptors import DEFAULT_CAP_SECONDS
from services.kit.program import DRAIN_SECONDS
from services.kit.settings import load_settings
from services.media.output_files import OutputFile
from services.media.servicer import CAPS as MEDIA_CAPS
from services.media.settings import MediaSettings
from services.orchestrator.clients.interception import PASS_SECONDS
from services.orchestrator.clients.media import GENERATE_SECONDS, PREPARE_SECONDS
from services.orchestrator.clients.recorder_claims import CLAIM_SECONDS
from services.orchestrator.clients.safety import CHECK_SECONDS, IMAGE_SECONDS
from services.orchestrator.ending import MEDIA_STOP_SECONDS as MEDIA_STOP_FROM_OUTSIDE_SECONDS
from services.orchestrator.engine.loader import load_pipelines
from services.orchestrator.life import RECORDER_MARGIN_SECONDS
from services.orchestrator.opening import LONGEST, QUEUE_SECONDS
from services.orchestrator.queue.heart import BEATS_PER_TTL, SHORTEST_INTERVAL_SECONDS
from services.orchestrator.servicer import CAPS as ORCHESTRATOR_CAPS
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.steps.rendering import MEDIA_STOP_SECONDS
from services.orchestrator.steps.table import FACTORIES
from services.recorder.lifecycle import MAX_DEADLINE
from services.safety.__main__ import CHECK_IMAGE_SECONDS
from services.safety.settings import SafetySettings


def _most(kind: type[BaseModel], field: str) -> float:
    bounds: list[Any] = kind.model_fields[field].metadata
    for bound in bounds:
        if isinstance(bound, Le):
            return float(str(bound.le))
    raise AssertionError(f"{field} has no upper bound")


def _least(kind: type[BaseModel], field: str) -> float:
    for bound in kind.model_fields[field].metadata:
        if isinstance(bound, Ge):
            return float(str(bound.ge))
    raise AssertionError(f"{field} has no lower bound")


def test_a_pass_is_ended_by_the_interception_service_before_the_orchestrator_loses_patience() -> (
    None
):
    longest = _most(InterceptionSettings, "openai_timeout_seconds")
    assert longest + PASS_MARGIN_SECONDS < PASS_SECONDS


def test_a_chain_of_models_is_ended_before_the_orchestrator_loses_patience() -> None:
    assert LONGEST_CHAIN_SECONDS + PASS_MARGIN_SECONDS < PASS_SECONDS
    assert _most(ProviderFile, "total_seconds") <= LONGEST_CHAIN_SECONDS


def test_an_output_is_ended_by_its_config_before_anybody_who_waits_for_it_gives_up() -> None:
    longest = _most(OutputFile, "deadline_seconds")
    assert longest < GENERATE_SECONDS
    assert longest < MEDIA_CAPS["GenerateMedia"]


def test_a_longest_run_has_a_deadline_the_recorder_takes() -> None:
    longest = _most(OrchestratorSettings, "run_limit_seconds")
    own = longest + RECORDER_MARGIN_SECONDS + QUEUE_SECONDS
    assert own < LONGEST.total_seconds() < MAX_DEADLINE.total_seconds()


def test_a_run_outlasts_its_outputs_and_its_steps() -> None:
    run = load_settings("orchestrator", OrchestratorSettings, {}).run_limit_seconds
    for path in sorted((CONFIGS / "output").glob("*.yaml")):
        assert yaml.safe_load(path.read_text()).get("deadline_seconds", 0) < run, path.name
    for pipeline in load_pipelines(CONFIGS, FACTORIES).values():
        for step in pipeline.steps:
            assert (step.timeout_seconds or 0) < run, f"{pipeline.name}.{step.id}"


def test_a_stop_leaves_time_to_end_a_run_after_media_was_told() -> None:
    assert MEDIA_STOP_SECONDS + MARGIN_SECONDS < DRAIN_SECONDS
    # Whoever cancels a run that is driven elsewhere has his answer within two seconds.
    assert MEDIA_STOP_FROM_OUTSIDE_SECONDS + MARGIN_SECONDS < 2.0


def test_a_claim_is_renewed_more_than_once_before_it_is_over() -> None:
    shortest = _least(OrchestratorSettings, "claim_ttl_seconds")
    assert SHORTEST_INTERVAL_SECONDS < shortest
    assert BEATS_PER_TTL >= 3


def test_a_claim_is_given_up_before_what_is_written_under_it() -> None:
    orchestrator = load_settings("orchestrator", OrchestratorSettings, {})
    assert orchestrator.claim_ttl_seconds < orchestrator.recorder_patience_seconds
    assert orchestrator.claim_ttl_seconds >= CLAIM_SECONDS


def test_seats_nest_in_what_may_be_open() -> None:
    orchestrator = load_settings("orchestrator", OrchestratorSettings, {})
    assert orchestrator.max_runs < orchestrator.max_open_runs
    assert orchestrator.max_runs_per_person < orchestrator.max_open_runs
    assert orchestrator.outputs_at_once <= orchestrator.max_outputs


def test_a_picture_is_given_up_by_the_safety_service_before_the_orchestrator_loses_patience() -> (
    None
):
    assert CHECK_IMAGE_SECONDS + MARGIN_SECONDS < IMAGE_SECONDS


def test_a_text_is_given_up_by_its_judge_before_the_orchestrator_loses_patience() -> None:
    assert _most(SafetySettings, "judge_timeout_seconds") + MARGIN_SECONDS < CHECK_SECONDS
    assert CHECK_SECONDS <= DEFAULT_CAP_SECONDS


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
    assert media.max_jobs >= orchestrator.max_outputs
