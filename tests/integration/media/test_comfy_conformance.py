"""What others get wrong, each as a claim about the real backend against the fake.

The names follow the conformance list of the media service.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import pytest

from services.kit.errors import (
    ArtlabError,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
)
from services.media.comfy import prompt_id_of
from services.media.domain.workflow import Workflow
from services.media.ports import RenderJob
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import (
    PROMPT,
    config,
    connected,
    ignore,
    make_job,
    read,
    until,
)


async def failure(fake: FakeComfyUI, job: RenderJob | None = None) -> ArtlabError:
    """The error that a job at this fake ends with."""
    async with connected(fake.url) as backend:
        with pytest.raises(ArtlabError) as caught:
            await backend.render(job or make_job(), ignore)
    return caught.value


def workflow_of(job: RenderJob) -> Workflow:
    """The workflow of a job's config."""
    workflow = job.config.backend_options["workflow"]
    assert isinstance(workflow, Workflow)
    return workflow


async def test_a_job_finished_before_the_post_answered_is_found_at_once() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        await backend.render(make_job(), ignore)
        began = time.monotonic()
        await backend.render(make_job(), ignore)
        assert time.monotonic() - began < 0.5


async def test_the_history_may_be_written_after_success_was_told() -> None:
    script = Script(history_delay_seconds=0.9, lose_frames=frozenset({"executing"}))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        assert await read(await backend.render(make_job(), ignore))


async def test_an_execution_error_keeps_cause_node_and_advice() -> None:
    script = Script(fail_at="VAEDecode", failure=("RuntimeError", f"cannot decode «{PROMPT}»"))
    async with fake_comfyui(script=script) as fake:
        error = await failure(fake)
    assert (type(error), error.reason) == (FailedPrecondition, "COMFY_EXECUTION")
    assert error.metadata["node"] == "8"
    assert error.metadata["node_type"] == "VAEDecode"
    assert error.metadata["exception_type"] == "RuntimeError"
    assert error.metadata["detail"].startswith("cannot decode")
    assert error.metadata["advice"]
    assert PROMPT not in str(error.metadata), "what a person typed is in no error"


async def test_out_of_memory_says_that_another_try_may_work() -> None:
    failure_of = ("torch.OutOfMemoryError", "Allocation on device 0 would exceed memory. " * 100)
    async with fake_comfyui(script=Script(fail_at="KSampler", failure=failure_of)) as fake:
        error = await failure(fake)
    assert (type(error), error.reason) == (ResourceExhausted, "COMFY_OOM")
    assert error.metadata["retryable"] == "true"
    assert error.metadata["node_type"] == "KSampler"
    assert len(error.metadata["detail"]) <= 400


async def test_an_output_in_a_subfolder_is_fetched() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        product = await backend.render(make_job(), ignore)
        assert list((fake.root / "output" / "artlab").iterdir())
        assert await read(product)


@pytest.mark.parametrize(
    "lost", [{"*"}, {"execution_success", "executing"}, {"status", "executing"}, {"progress_state"}]
)
async def test_lost_frames_cost_a_second_at_most(lost: set[str]) -> None:
    script = Script(lose_frames=frozenset(lost))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        began = time.monotonic()
        await backend.render(make_job(), ignore)
        assert time.monotonic() - began < 1.5


async def test_a_socket_dropped_mid_job_costs_nothing_and_live_progress_resumes() -> None:
    script = Script(drop_socket_at="KSampler", step_seconds=0.15)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        fractions: set[float] = set()
        await backend.render(make_job(), lambda told: fractions.add(round(told.fraction, 1)))
        assert {0.4, 0.5} <= fractions, "the sampler's later steps were seen"
        assert len(fake.client_ids) == 2
        assert len(set(fake.client_ids)) == 1, "ComfyUI ended the first, so its id is free"


async def test_a_stream_that_stalls_is_begun_anew_under_another_id() -> None:
    script = Script(lose_frames=frozenset({"*"}), step_seconds=0.8)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        await backend.render(make_job(), ignore)
        await until(lambda: len(fake.client_ids) == 2)
        assert len(set(fake.client_ids)) == 2, "the old socket may still be registered"
        script.lose_frames, script.step_seconds = frozenset(), 0.02
        nodes: set[str] = set()
        await backend.render(make_job(seed=8), lambda told: nodes.add(told.node))
        assert "3" in nodes


async def test_a_job_is_not_lost_when_a_proxy_answers_with_503_meanwhile() -> None:
    script = Script(step_seconds=0.5, lose_frames=frozenset({"*"}))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        task = asyncio.create_task(backend.render(make_job(), ignore))
        await until(lambda: fake.worker.running is not None)
        script.unwell = True
        await asyncio.sleep(1.5)
        script.unwell = False
        assert await read(await task)


async def test_without_a_websocket_polling_does_it() -> None:
    script = Script(no_websocket=True)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        assert await read(await backend.render(make_job(), ignore))
        assert isinstance(fake.prompts[0]["client_id"], str)


async def test_a_frame_too_large_ends_the_socket_and_not_the_job() -> None:
    script = Script(huge_frame_at="KSampler")
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        assert await read(await backend.render(make_job(), ignore))


async def test_frames_of_no_known_shape_are_ignored() -> None:
    script = Script(odd_frames_at="KSampler")
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        assert await read(await backend.render(make_job(), ignore))
        assert len(fake.client_ids) == 1


async def test_interrupted_by_somebody_else_is_cancelled_and_says_so() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with connected(fake.url) as backend:
            task = asyncio.create_task(backend.render(make_job(), ignore))
            await until(lambda: fake.worker.running is not None)
            await asyncio.sleep(0.05)
            fake.worker.interrupt(None)
            with pytest.raises(Cancelled) as caught:
                await asyncio.wait_for(task, 3)
    assert caught.value.reason == "COMFY_INTERRUPTED"
    assert caught.value.metadata["node"] == "3"


@pytest.mark.parametrize("jobs_api", [True, False], ids=["new", "old"])
async def test_cancelling_a_running_job_stops_exactly_it(jobs_api: bool) -> None:
    script = Script(step_seconds=0.05, jobs_api=jobs_api)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        job, other = make_job(), make_job()
        first = asyncio.create_task(backend.render(job, ignore))
        await until(lambda: fake.executions.get(prompt_id_of(job), 0) == 1)
        second = asyncio.create_task(backend.render(other, ignore))
        await until(lambda: len(fake.worker.pending) == 1)
        began = time.monotonic()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert time.monotonic() - began < 2.0
        await second
        last = fake.worker.history[prompt_id_of(job)]["status"]["messages"][-1][0]
        assert last == "execution_interrupted"


@pytest.mark.parametrize("jobs_api", [True, False], ids=["new", "old"])
async def test_cancelling_a_queued_job_means_that_it_never_runs(jobs_api: bool) -> None:
    script = Script(step_seconds=0.05, jobs_api=jobs_api)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        first = asyncio.create_task(backend.render(make_job(), ignore))
        await until(lambda: fake.worker.running is not None)
        job = make_job()
        second = asyncio.create_task(backend.render(job, ignore))
        await until(lambda: len(fake.worker.pending) == 1)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert not fake.worker.pending
        await first
        assert prompt_id_of(job) not in fake.executions


async def test_cancelling_while_the_prompt_is_on_its_way_leaves_nothing_behind() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with connected(fake.url) as backend:
            for delay in (0.0, 0.001, 0.003, 0.005, 0.01, 0.02):
                task = asyncio.create_task(backend.render(make_job(), ignore))
                await asyncio.sleep(delay)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await until(lambda: fake.worker.remaining == 0)


async def test_a_restart_while_running_is_noticed_and_said() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with connected(fake.url) as backend:
            task = asyncio.create_task(backend.render(make_job(), ignore))
            await until(lambda: fake.worker.running is not None)
            await fake.restart()
            fake.script.hang_at = None
            fake.script.step_seconds = 0.02
            with pytest.raises(Unavailable) as caught:
                await asyncio.wait_for(task, 5)
            assert caught.value.reason == "COMFY_LOST"
            # The next attempt runs, with live progress on a new socket.
            nodes: set[str] = set()
            await backend.render(make_job(attempt=2, seed=8), lambda told: nodes.add(told.node))
            assert "3" in nodes


async def test_a_restart_at_any_step_is_noticed_and_the_next_attempt_succeeds() -> None:
    async def restarted_at(step: str) -> None:
        async with fake_comfyui(script=Script(hang_at=step)) as fake:
            async with connected(fake.url) as backend:
                job = make_job()
                nodes: set[str] = set()
                task = asyncio.create_task(backend.render(job, lambda told: nodes.add(told.node)))
                classes = {key: node.class_type for key, node in workflow_of(job).nodes.items()}
                await until(lambda: step in {classes.get(node) for node in nodes})
                await fake.restart()
                fake.script.hang_at = None
                with pytest.raises(Unavailable) as caught:
                    await asyncio.wait_for(task, 10)
                assert caught.value.reason == "COMFY_LOST"
                assert await read(await backend.render(job, ignore))

    steps = ("CheckpointLoaderSimple", "CLIPTextEncode", "KSampler", "VAEDecode", "SaveImage")
    await asyncio.gather(*(restarted_at(step) for step in steps))


async def test_a_backend_that_accepts_and_never_works_is_detected() -> None:
    async with fake_comfyui(script=Script(dead_worker=True)) as fake:
        job = make_job()
        async with connected(fake.url) as backend:
            with pytest.raises(Unavailable) as caught:
                await asyncio.wait_for(backend.render(job, ignore), 12)
            assert caught.value.reason == "COMFY_STALLED"
            assert not fake.worker.pending, "it must not run later, when somebody wakes it"
            assert await backend.unavailable_reason(job.config) is not None


async def test_a_hanging_node_ends_with_the_deadline_and_is_stopped() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        job = make_job(config(deadline_seconds=0.7))
        began = time.monotonic()
        error = await failure(fake, job)
        assert time.monotonic() - began < 3.0
        assert (type(error), error.reason) == (DeadlineExceeded, "DEADLINE")
        await until(lambda: fake.worker.running is None)


async def test_a_frozen_process_ends_with_the_deadline() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with connected(fake.url) as backend:
            job = make_job(config(deadline_seconds=1.5))
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: fake.worker.running is not None)
            fake.script.frozen = True
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                await task
            assert time.monotonic() - began < 5.0
            fake.script.frozen = False


async def test_a_connection_refused_is_unavailable_with_a_time_to_come_back() -> None:
    async with fake_comfyui() as fake:
        url = fake.url
    async with connected(url) as backend:
        with pytest.raises(Unavailable) as caught:
            await backend.render(make_job(), ignore)
        assert caught.value.reason == "COMFY_UNAVAILABLE"
        assert caught.value.retry_after_seconds
        reason = await backend.unavailable_reason(config())
        assert reason == f"no ComfyUI answers at {url}"


@pytest.mark.parametrize("answer", ["cut", "500", "lost"])
async def test_an_unanswered_post_never_makes_the_picture_twice(answer: str) -> None:
    script = Script(prompt_answers=deque([answer]))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        job = make_job()
        assert await read(await backend.render(job, ignore))
        assert fake.executions == {prompt_id_of(job): 1}
        looks = [seen.path for seen in fake.requests]
        after = looks[looks.index("/prompt", looks.index("/queue")) :]
        assert "/queue" in after, "it looked before it sent anything again"


async def test_a_job_of_an_earlier_life_is_taken_up_and_not_repeated() -> None:
    async with fake_comfyui() as fake:
        job = make_job()
        async with connected(fake.url) as backend:
            first = await read(await backend.render(job, ignore))
        async with connected(fake.url) as backend:
            assert await read(await backend.render(job, ignore)) == first
        assert fake.executions == {prompt_id_of(job): 1}


@pytest.mark.parametrize("fail", ["failed", "interrupted", "file deleted"])
async def test_a_job_that_failed_may_be_tried_again_under_the_same_upload_name(fail: str) -> None:
    script = Script(fail_at="VAEDecode" if fail == "failed" else None)
    script.hang_at = "KSampler" if fail == "interrupted" else None
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        job = make_job()
        task = asyncio.create_task(backend.render(job, ignore))
        if fail == "interrupted":
            await until(lambda: fake.worker.running is not None)
            await until(lambda: fake.worker.interrupt(None))
        await asyncio.wait({task}, timeout=5)
        if fail == "file deleted":
            (fake.root / "output" / "artlab" / task.result().metadata["filename"]).unlink()
        else:
            assert isinstance(task.exception(), ArtlabError)
        script.fail_at = script.hang_at = None
        # What it reports comes from this run, although the history still has the other.
        assert await read(await backend.render(job, ignore))
        assert sorted(fake.executions.values()) == [1, 1]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("403", "COMFY_FORBIDDEN"),
        ("413", "COMFY_TOO_LARGE"),
        ("node_errors", "COMFY_REJECTED"),
        ("other_id", "COMFY_PROTOCOL"),
        ("garbage", "COMFY_PROTOCOL"),
    ],
)
async def test_a_refused_prompt_is_not_sent_again(answer: str, reason: str) -> None:
    script = Script(prompt_answers=deque([answer]), hang_at="KSampler")
    async with fake_comfyui(script=script) as fake:
        error = await failure(fake)
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", reason)
        assert len(fake.prompts) == 1
        await until(lambda: fake.worker.remaining == 0)


async def test_a_prompt_that_fails_validation_names_node_and_input_and_no_text() -> None:
    async with fake_comfyui() as fake:
        job = make_job()
        wrong = make_job(values={**job.values, "steps": 100_000, "negative_prompt": "Geheimnis"})
        error = await failure(fake, wrong)
    assert error.reason == "COMFY_REJECTED"
    assert error.metadata["node"] == "3"
    assert error.metadata["node_error"] == "value_bigger_than_max"
    assert error.metadata["input"] == "steps"
    assert "Geheimnis" not in str(error.metadata)


def images(*items: Any) -> Any:
    return lambda outputs: {"9": {"images": list(items)}}


FILE = {"filename": "a.png", "subfolder": "", "type": "output"}


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (lambda _: {}, "COMFY_NO_OUTPUT"),
        (lambda _: {"9": {}}, "COMFY_NO_OUTPUT"),
        (lambda _: {"9": {"images": None}}, "COMFY_PROTOCOL"),
        (lambda _: {"9": None}, "COMFY_PROTOCOL"),
        (lambda found: {"8": found["9"]}, "COMFY_NO_OUTPUT"),
        (images({**FILE, "type": "temp"}), "COMFY_NO_OUTPUT"),
        (images({**FILE, "filename": "../../../etc/passwd"}), "COMFY_PROTOCOL"),
        (images({**FILE, "filename": "/etc/passwd"}), "COMFY_PROTOCOL"),
        (images({**FILE, "filename": "a.png [output]"}), "COMFY_PROTOCOL"),
        (images({**FILE, "filename": "a.png[temp] "}), "COMFY_PROTOCOL"),
        (images({**FILE, "filename": ""}), "COMFY_PROTOCOL"),
        (images({**FILE, "filename": 7}), "COMFY_PROTOCOL"),
        (images({**FILE, "subfolder": "../x"}), "COMFY_PROTOCOL"),
        (images({**FILE, "subfolder": "/etc"}), "COMFY_PROTOCOL"),
        (images({**FILE, "subfolder": "C:\\x"}), "COMFY_PROTOCOL"),
    ],
)
async def test_outputs_of_the_wrong_shape_are_refused_before_any_download(
    outputs: Any, reason: str
) -> None:
    async with fake_comfyui(script=Script(outputs=outputs)) as fake:
        assert (await failure(fake)).reason == reason
        assert not [seen for seen in fake.requests if seen.path == "/view"]


async def test_of_ten_thousand_outputs_the_first_is_taken() -> None:
    def many(outputs: dict[str, Any]) -> dict[str, Any]:
        return {"9": {"images": outputs["9"]["images"] * 10_000, "animated": [False]}}

    async with fake_comfyui(script=Script(outputs=many)) as fake, connected(fake.url) as backend:
        product = await backend.render(make_job(), ignore)
        assert product.metadata["files"] == "10000"
        assert await read(product)
        assert len([seen for seen in fake.requests if seen.path == "/view"]) == 1


async def test_not_a_number_in_the_history_is_no_obstacle() -> None:
    def nan(outputs: dict[str, Any]) -> dict[str, Any]:
        return {**outputs, "7": {"text": [float("nan")]}}

    async with fake_comfyui(script=Script(outputs=nan)) as fake, connected(fake.url) as backend:
        assert await read(await backend.render(make_job(), ignore))


async def test_a_history_evicted_at_once_is_a_lost_job() -> None:
    async with fake_comfyui(script=Script(history_evicted=True)) as fake:
        error = await failure(fake)
        assert (type(error), error.reason) == (Unavailable, "COMFY_LOST")
