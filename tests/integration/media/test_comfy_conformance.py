"""What others get wrong, each as a claim about the real backend against the fake.

The names follow the conformance list of the media service; stopping, submission and outputs have
files of their own beside this one.
"""

from __future__ import annotations

import asyncio
import io
from collections import deque
from functools import partial
from http.client import HTTPConnection

import pytest
from PIL import Image

from services.kit.errors import FailedPrecondition, ResourceExhausted, Unavailable
from services.media.comfy import course, prompt_id_of
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import (
    PROMPT,
    connected,
    failure,
    ignore,
    make_job,
    read,
    until,
    workflow_of,
)


async def test_a_job_finished_before_the_post_answered_is_found_at_once() -> None:
    script = Script(prompt_answers=deque(["late"]))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        looks = [seen.path for seen in fake.requests].count("/queue")
        job = make_job()
        assert await read(await backend.render(job, ignore))
        # Told by its events: it was looked for before it was handed in, and not again.
        assert [seen.path for seen in fake.requests].count("/queue") == looks + 1
        assert fake.executions == {prompt_id_of(job.upload): 1}


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
        await asyncio.wait_for(backend.render(make_job(), ignore), 4)


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
        assert "KSampler 3" in nodes


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


STEPS = ("CheckpointLoaderSimple", "CLIPTextEncode", "KSampler", "VAEDecode", "SaveImage")


@pytest.mark.parametrize("step", STEPS)
async def test_after_a_restart_at_any_step_it_is_handed_in_once_more(step: str) -> None:
    async with fake_comfyui(script=Script(hang_at=step)) as fake, connected(fake.url) as backend:
        job = make_job()
        nodes: set[str] = set()
        task = asyncio.create_task(backend.render(job, lambda told: nodes.add(told.node)))
        nodes_of = workflow_of(job).nodes
        classes = {f"{node.class_type} {key}": node.class_type for key, node in nodes_of.items()}
        await until(lambda: step in {classes.get(node) for node in nodes})
        nodes.clear()
        await fake.restart()
        fake.script.hang_at, fake.script.step_seconds = None, 0.02
        assert await read(await asyncio.wait_for(task, 15))
        assert fake.executions == {prompt_id_of(job.upload): 2}, "lost once, made again once"
        assert "KSampler" in {classes.get(node) for node in nodes}, "live, on a new socket"


@pytest.mark.parametrize("jobs_api", [True, False], ids=["new", "old"])
async def test_a_restart_while_it_waits_hands_it_in_once_more(jobs_api: bool) -> None:
    script = Script(hang_at="KSampler", jobs_api=jobs_api)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        before = asyncio.create_task(backend.render(make_job(), ignore))
        await until(lambda: fake.worker.running is not None)
        job = make_job()
        task = asyncio.create_task(backend.render(job, ignore))
        await until(lambda: len(fake.worker.pending) == 1)
        await fake.restart()
        fake.script.hang_at = None
        assert await read(await asyncio.wait_for(task, 15))
        assert await read(await asyncio.wait_for(before, 15))
        assert fake.executions[prompt_id_of(job.upload)] == 1


async def test_after_a_restart_just_before_the_prompt_was_taken_in_it_runs_once() -> None:
    script = Script(hold="before POST /prompt")
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        job = make_job()
        task = asyncio.create_task(backend.render(job, ignore))
        await until(lambda: fake.held == 1)
        await fake.restart()
        script.hold = ""
        assert await read(await asyncio.wait_for(task, 15))
        assert fake.executions == {prompt_id_of(job.upload): 1}


async def test_after_a_restart_between_success_and_history_the_picture_is_not_made_again() -> None:
    script = Script(history_delay_seconds=30.0)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        job = make_job()
        task = asyncio.create_task(backend.render(job, ignore))
        await until(lambda: bool(list((fake.root / "output").glob("artlab/*"))))
        await asyncio.sleep(0.1)
        await fake.restart()
        assert await read(await asyncio.wait_for(task, 15))
        assert fake.executions == {prompt_id_of(job.upload): 1}


async def test_a_comfyui_that_comes_back_late_gets_the_job_it_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "REFUSED_SECONDS", 0.5)
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with connected(fake.url) as backend:
            job = make_job()
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: fake.worker.running is not None)
            await fake.stop()
            await asyncio.sleep(2.5)
            fake.script.hang_at = None
            await fake.start()
            assert await read(await asyncio.wait_for(task, 15))
            assert fake.executions == {prompt_id_of(job.upload): 2}


def _has_executed(fake: FakeComfyUI, wanted: dict[str, int]) -> bool:
    return fake.executions == wanted


async def test_a_job_that_is_lost_twice_is_said_to_be_lost() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with connected(fake.url) as backend:
            job = make_job()
            task = asyncio.create_task(backend.render(job, ignore))
            for count in (1, 2):
                wanted = {prompt_id_of(job.upload): count}
                await until(partial(_has_executed, fake, wanted), 15)
                await fake.restart()
            with pytest.raises(Unavailable) as caught:
                await asyncio.wait_for(task, 15)
    assert caught.value.reason == "COMFY_LOST"


async def test_a_job_lost_with_its_instance_moves_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "REFUSED_SECONDS", 0.5)
    async with fake_comfyui(script=Script(hang_at="KSampler")) as one, fake_comfyui() as two:
        async with connected(one.url, two.url) as backend:
            job = make_job()
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: one.worker.running is not None)
            await one.stop()
            assert await read(await asyncio.wait_for(task, 15))
            assert two.executions == {prompt_id_of(job.upload): 1}


async def test_a_machine_that_cannot_be_reached_for_a_while_keeps_its_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "REFUSED_SECONDS", 0.2)
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake, fake_comfyui() as other:
        async with connected(fake.url, other.url) as backend:
            job = make_job()
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: fake.worker.running is not None)
            unreachable = OSError(113, "No route to host")
            connect = HTTPConnection.connect

            def lose_route(connection: HTTPConnection) -> None:
                if connection.port == fake.port:
                    raise unreachable
                connect(connection)

            monkeypatch.setattr(HTTPConnection, "connect", lose_route)
            await asyncio.sleep(2)
            monkeypatch.setattr(HTTPConnection, "connect", connect)
            fake.script.hang_at = None
            assert await read(await asyncio.wait_for(task, 15))
            assert fake.executions == {prompt_id_of(job.upload): 1}
            assert not other.prompts


async def test_killed_in_the_middle_of_saving_it_ends_in_a_whole_picture() -> None:
    async with fake_comfyui(script=Script(killed_saving=True)) as fake:
        async with connected(fake.url) as backend:
            job = make_job()
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: not fake.is_up)
            (cut,) = (fake.root / "output" / "artlab").iterdir()
            fake.script.killed_saving = False
            await fake.start()
            product = await asyncio.wait_for(task, 15)
            assert product.metadata["filename"] != cut.name, "the rest of a file is in its way"
            assert Image.open(io.BytesIO(await read(product))).convert("L").size == (256, 256)


async def test_a_backend_that_accepts_and_never_works_is_detected() -> None:
    async with fake_comfyui(script=Script(dead_worker=True)) as fake:
        job = make_job()
        async with connected(fake.url) as backend:
            with pytest.raises(Unavailable) as caught:
                await asyncio.wait_for(backend.render(job, ignore), 15)
            assert caught.value.reason == "COMFY_STALLED"
            assert not fake.worker.pending, "it must not run later, when somebody wakes it"
            assert await backend.unavailable_reason(job.config) is not None


@pytest.mark.parametrize("jobs_api", [True, False], ids=["new", "old"])
async def test_a_job_at_a_dead_worker_moves_and_the_instance_gets_no_more(
    jobs_api: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "STALLED_SECONDS", 1.0)
    script = Script(dead_worker=True, jobs_api=jobs_api)
    async with fake_comfyui(script=script) as dead, fake_comfyui() as well:
        async with connected(dead.url, well.url) as backend:
            job = make_job()
            assert await read(await asyncio.wait_for(backend.render(job, ignore), 15))
            assert (dead.worker.remaining, well.executions) == (0, {prompt_id_of(job.upload): 1})
            sent = len(dead.prompts)
            assert await read(await backend.render(make_job(), ignore))
            assert len(dead.prompts) == sent


async def test_a_job_stays_where_it_cannot_be_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "STALLED_SECONDS", 0.5)
    async with fake_comfyui(script=Script(dead_worker=True)) as dead, fake_comfyui() as well:
        async with connected(dead.url, well.url) as backend:
            dead.script.hold = "before POST /api/jobs"
            with pytest.raises(Unavailable) as caught:
                await asyncio.wait_for(backend.render(make_job(), ignore), 15)
            assert caught.value.reason == "COMFY_STALLED"
            assert not well.prompts, "it might have been made twice"
            dead.script.hold = ""


async def test_a_history_evicted_at_once_is_replaced_by_what_the_events_told() -> None:
    async with fake_comfyui(script=Script(history_evicted=True)) as fake:
        async with connected(fake.url) as backend:
            job = make_job()
            product = await backend.render(job, ignore)
            assert await read(product)
            assert product.model == "sd3.5_large.safetensors"
            assert fake.executions == {prompt_id_of(job.upload): 1}


async def test_a_history_evicted_while_the_events_were_lost_is_a_lost_job() -> None:
    script = Script(history_evicted=True, no_websocket=True)
    async with fake_comfyui(script=script) as fake:
        error = await failure(fake)
        assert (type(error), error.reason) == (Unavailable, "COMFY_LOST")
        assert list(fake.executions.values()) == [2]
