"""Has the questions of a run answered while it is followed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import nullcontext

from services.cli.asking import Asker
from services.cli.domain.question import Question, question_of
from services.cli.domain.result import SeenEntity
from services.cli.gateway_client import GatewayClient, GatewayError, GatewayRefused
from services.cli.screen import Screen


class Questions:
    """The questions of one run; owns the tasks that ask them."""

    def __init__(
        self, client: GatewayClient, run_id: str, screen: Screen, asker: Asker, user_id: str
    ) -> None:
        self._client, self._run_id, self._screen = client, run_id, screen
        self._asker, self._user_id = asker, user_id
        self._tasks: dict[int, asyncio.Task[None]] = {}
        # One after another: there is one terminal.
        self._turn = asyncio.Lock()

    def ask(self, entity: SeenEntity) -> None:
        """Begin to ask; goes on beside the events of the run."""
        if entity.document is not None:
            question = question_of(entity.sequence, entity.document)
            self._tasks[entity.sequence] = asyncio.create_task(self._answer(question))

    async def stop(self, still_open: Collection[int] = ()) -> None:
        """Ask no more, but for what is still open. Raises what asking raised."""
        over = [self._tasks.pop(number) for number in list(self._tasks) if number not in still_open]
        for task in over:
            task.cancel()
        for ended in await asyncio.gather(*over, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def _answer(self, question: Question) -> None:
        url = self._client.entity_url(self._run_id, question.about)
        async with self._turn:
            with self._screen.paused() if self._asker.is_interactive else nullcontext():
                while answer := await self._asker.ask(self._run_id, question, url):
                    try:
                        await self._client.decide(
                            self._run_id,
                            question.sequence,
                            answer.decision,
                            text=answer.text,
                            user_id=self._user_id,
                        )
                        return
                    except GatewayError as error:
                        self._screen.note(f"that was not taken: {error}")
                        if not (isinstance(error, GatewayRefused) and error.status == 422):
                            return
