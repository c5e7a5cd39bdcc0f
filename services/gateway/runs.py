"""Starting a run, waiting for its end, and telling what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from services.gateway.domain.outcome import (
    Block,
    OutputResult,
    block_entity,
    edited_text,
    later_decisions,
    output_results,
    read_block,
    text_entity,
)
from services.gateway.domain.run import (
    Decision,
    Entity,
    Output,
    Pipeline,
    QueuePlace,
    Run,
    RunStart,
)
from services.gateway.fanout import Fanout, Feed
from services.kit.errors import ArtlabError, NotFound, ResourceExhausted
from services.kit.ids import EntityName, RunId
from services.kit.log import facts

log = logging.getLogger(__name__)

# Where a run stands in line is a courtesy: an answer that starts a run does not wait for it.
PLACE_SECONDS = 2.0
# Texts and verdicts; the recorder takes at most 1 MiB in one call.
MAX_SMALL_BYTES = 1024 * 1024


class RunReader(Protocol):
    """What is needed of the recorder."""

    async def get_run(self, run_id: RunId) -> Run:
        """Return one run. Raises NotFound."""
        ...

    async def read_small(self, name: EntityName, size_bytes: int) -> bytes:
        """Return all bytes of a small entity."""
        ...


class RunStarter(Protocol):
    """What is needed of the orchestrator."""

    async def start_run(self, start: RunStart) -> Run:
        """Start a run; the same start again is the same run."""
        ...

    async def add_input_image(
        self, run_id: RunId, index: int, chunks: AsyncIterator[bytes]
    ) -> int | None:
        """Give a run a picture; return its sequence, None when a check refused it."""
        ...

    async def resume_run(self, decision: Decision) -> Run:
        """Answer a question a run waits with; the same answer again changes nothing."""
        ...

    async def queue_place(self, run_id: RunId, timeout_seconds: float = ...) -> QueuePlace:
        """Tell where a run stands in line. Raises NotFound."""
        ...

    async def pipelines(self) -> tuple[Pipeline, ...]:
        """List the pipelines a run may follow, by name."""
        ...

    async def cancel_run(self, run_id: RunId) -> Run:
        """Stop a run and return it as it ended."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run and what a person wants to know of it."""

    run: Run
    final_output: str | None
    outputs: tuple[OutputResult, ...]
    block: Block | None


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of a picture: its entity, or the verdict that ended the run."""

    run: Run
    entity: Entity | None
    block: Block | None


class Runs:
    """The runs of this installation, as the routes use them."""

    def __init__(
        self, orchestrator: RunStarter, recorder: RunReader, fanout: Fanout, max_waiting: int
    ) -> None:
        self._orchestrator = orchestrator
        self._recorder = recorder
        self._fanout = fanout
        self._max_waiting = max_waiting
        self._waiting = 0

    async def start(self, start: RunStart) -> Run:
        """Start a run; it goes on whatever becomes of the request that asked for it."""
        return await self._orchestrator.start_run(start)

    async def get(self, run_id: RunId) -> Run:
        """Return one run. Raises NotFound."""
        return await self._recorder.get_run(run_id)

    async def add_input_image(
        self, run_id: RunId, index: int, chunks: AsyncIterator[bytes]
    ) -> Brought:
        """Give a run a picture it waits for. Raises also what the chunks raise."""
        sequence = await self._orchestrator.add_input_image(run_id, index, chunks)
        run = await self._recorder.get_run(run_id)
        found = [entity for entity in run.entities if entity.sequence == sequence]
        refused = sequence is None and run.state == "blocked"
        return Brought(
            run, found[0] if found else None, await self._block(run) if refused else None
        )

    async def decide(self, decision: Decision) -> Run:
        """Answer a question a run waits with; return the run as it is then."""
        await self._orchestrator.resume_run(decision)
        # As whoever asks may see it: the orchestrator sees everything.
        return await self._recorder.get_run(decision.run_id)

    async def place(self, run_id: RunId) -> QueuePlace:
        """Tell where a run stands in line. Raises NotFound."""
        return await self._orchestrator.queue_place(run_id)

    async def place_if_waiting(self, run: Run) -> QueuePlace | None:
        """Tell where a run stands that has not begun; None for others, and when nobody says."""
        if run.state != "pending":
            return None
        try:
            return await self._orchestrator.queue_place(run.id, PLACE_SECONDS)
        except ArtlabError as error:
            log.info("place unknown", extra=facts(run=str(run.id), reason=error.reason))
            return None

    async def pipelines(self) -> tuple[Pipeline, ...]:
        """List the pipelines a run may follow, by name."""
        return await self._orchestrator.pipelines()

    async def cancel(self, run_id: RunId) -> Run:
        """Stop a run and return it as it ended. Raises NotFound."""
        return await self._orchestrator.cancel_run(run_id)

    @contextmanager
    def place_to_wait(self) -> Iterator[None]:
        """Hold one of the places; taken before a run starts, so that a refusal starts none.

        Raises ResourceExhausted TOO_MANY_WAITING and what `Fanout.check_room` raises.
        """
        self._fanout.check_room()
        if self._waiting >= self._max_waiting:
            raise ResourceExhausted(
                "TOO_MANY_WAITING",
                "too many requests wait for their runs; ask with Prefer: respond-async",
                retry_after_seconds=5.0,
            )
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def wait(
        self, run_id: RunId, seconds: float, gone: Callable[[], Awaitable[None]]
    ) -> bool:
        """Wait for the end of a run; False when the time was over, or nobody waits any more.

        `gone` returns when the client has gone away. A run that asks a person is not waited for
        either: whoever waits may be the one who is asked.
        """
        async with self._fanout.listen(run_id) as feed:
            ended = asyncio.ensure_future(feed.ended.wait())
            asked = asyncio.ensure_future(self._asks(feed))
            left = asyncio.ensure_future(gone())
            try:
                await asyncio.wait(
                    {ended, asked, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for waiting in (ended, asked, left):
                    waiting.cancel()
            return feed.final_state is not None

    async def _asks(self, feed: Feed) -> None:
        """Return once the run waits for a person."""
        while True:
            await feed.asked.wait()
            try:
                # The feed may be telling the past, with the answer right behind the question.
                if (await self._recorder.get_run(feed.run_id)).open_questions:
                    return
            except ArtlabError as error:
                log.info(
                    "questions unknown", extra=facts(run=str(feed.run_id), reason=error.reason)
                )
                return
            await feed.answered.wait()

    async def outcome(self, run_id: RunId) -> Outcome:
        """Return what came of a run, with the texts and verdicts that explain it."""
        run = await self._recorder.get_run(run_id)
        text = text_entity(run)
        block = await self._block(run) if run.state == "blocked" else None
        blocked = [output for output in run.outputs if output.state == "blocked"]
        blocks = {output.index: await self._block(run, output) for output in blocked}
        return Outcome(
            run=run,
            final_output=await self._text(run, text) if text else None,
            outputs=output_results(run, blocks),
            block=block,
        )

    async def _block(self, run: Run, output: Output | None = None) -> Block:
        error = output.error if output else run.error
        entity = block_entity(run, output)
        if entity is None:
            # Blocked before this output had its turn: the verdict is that of the run.
            entity = block_entity(run)
        document = await self._small(run, entity) if entity else b"{}"
        block = read_block(document, error.stage if error else 0)
        if not block.rule and error is not None:
            block = replace(block, rule=error.message)
        return block

    async def _text(self, run: Run, entity: Entity) -> str:
        if entity.type == "interception":
            for decision in later_decisions(run, entity):
                edited = edited_text(await self._small(run, decision))
                if edited is not None:
                    return edited
        return (await self._small(run, entity)).decode(errors="replace")

    async def _small(self, run: Run, entity: Entity) -> bytes:
        if entity.size_bytes > MAX_SMALL_BYTES:
            raise NotFound("ENTITY_TOO_LARGE", "this text is not one that was recorded in one call")
        return await self._recorder.read_small(
            EntityName(run.id, entity.sequence), entity.size_bytes
        )
