"""What others get wrong, each as a claim about the real backend against the fake.

The names follow the conformance list of the media service; stopping, submission and outputs have
files of their own beside this one.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from services.kit.errors import (
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
)
from tests.fakes.comfyui import Script, fake_comfyui
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


async def test_a_history_evicted_at_once_is_a_lost_job() -> None:
    async with fake_comfyui(script=Script(history_evicted=True)) as fake:
        error = await failure(fake)
        assert (type(error), error.reason) == (Unavailable, "COMFY_LOST")
