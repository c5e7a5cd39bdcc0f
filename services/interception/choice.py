"""Which writer makes a text: by the nature of the task, by the mode, by where the model is."""

from __future__ import annotations

from services.interception.domain.writing import WritingTask
from services.interception.ports import ExecutionMode, Writer
from services.interception.providers.endpoint import Endpoint


class WriterChoice:
    """The built-in writer, and a model where one is configured and allowed.

    A model that is configured and fails is an error; the built-in writer never takes its place in
    silence, because the recorded run would tell a different story than the one that was asked for.
    """

    def __init__(
        self,
        builtin: Writer,
        model: Writer | None = None,
        endpoint: Endpoint | None = None,
        *,
        local_only: bool = False,
    ) -> None:
        self._builtin = builtin
        self._model = model
        self._endpoint = endpoint
        self._local_only = local_only

    async def choose(self, task: WritingTask, mode: ExecutionMode) -> Writer:
        """See `Writers`."""
        if task.needs_no_model or self._model is None or self._endpoint is None:
            return self._builtin
        must_stay = self._local_only or task.local_only or mode == "eco"
        if must_stay and not await self._endpoint.is_local():
            return self._builtin
        return self._model

    def names(self) -> tuple[str, ...]:
        """What writes here, for people."""
        return (self._builtin.name,) + ((self._model.name,) if self._model else ())
