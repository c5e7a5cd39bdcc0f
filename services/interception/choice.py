"""Which writer makes a text: by the nature of the task, the mode, the table, and where models are.

A model that is configured and fails is an error, or goes on to the next of its chain; the built-in
writer takes its place only where the table says so, and the record tells it.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.interception.chain_writer import ChainWriter, Passed
from services.interception.composing import Keyless
from services.interception.domain.models import BUILTIN, Chain, ModelTable
from services.interception.domain.writing import WritingTask
from services.interception.model_writer import ModelWriter, ProviderInUse
from services.interception.ports import ExecutionMode, LanguageDetector, Writer
from services.interception.translations import RememberingWriter, Translations
from services.kit.errors import FailedPrecondition, Unavailable


class WriterChoice:
    """The built-in writer, and the models of a table.

    Args:
        builtin: writes without a model.
        table: which models write what.
        providers: those of the table, connected.
        languages: tells which language an answer is in.
        translations: remembers them within a run.
        local_only: whether no text may leave, whatever the mode.
    """

    def __init__(
        self,
        builtin: Writer,
        table: ModelTable,
        providers: Mapping[str, ProviderInUse | Keyless],
        languages: LanguageDetector,
        translations: Translations,
        *,
        local_only: bool = False,
    ) -> None:
        self._builtin = builtin
        self._table = table
        self._providers = providers
        self._languages = languages
        self._translations = translations
        self._local_only = local_only

    async def choose(self, task: WritingTask, mode: ExecutionMode) -> Writer:
        """See `Writers`."""
        if task.needs_no_model:
            return self._builtin
        must_stay = ""
        if self._local_only or task.local_only:
            must_stay = "LOCAL_ONLY"
        elif mode == "eco":
            must_stay = "ECO"
        chain = self._table.chain(mode, task.task, task.name)
        writers, passed, away = await self._allowed(chain, must_stay)
        if not writers and must_stay and mode == "fast":
            # What would have been asked is elsewhere; what is asked at home is in the other column.
            chain = self._table.chain("eco", task.task, task.name)
            writers, more, away = await self._allowed(chain, must_stay)
            passed += more
        if not writers:
            if away is not None:
                raise away
            if all(each.reason == must_stay for each in passed):
                # Nobody may be asked: that is a promise kept, and no failure.
                return ChainWriter([self._builtin], passed)
            raise FailedPrecondition("LLM_NOT_AUTHORIZED", "no key for the model server is set")
        writer = writers[0] if len(writers) == 1 and not passed else ChainWriter(writers, passed)
        if task.task == "translation" and task.run_id:
            return RememberingWriter(writer, self._translations)
        return writer

    async def _allowed(
        self, chain: Chain, must_stay: str
    ) -> tuple[list[Writer], list[Passed], Unavailable | None]:
        """Those of a chain that may be asked, those that may not, and what hid where one is."""
        writers: list[Writer] = []
        passed: list[Passed] = []
        away: Unavailable | None = None
        for ref in chain:
            if ref.provider == BUILTIN:
                writers.append(self._builtin)
                continue
            provider = self._providers[ref.provider]
            name = f"{ref.provider}:{ref.model}"
            if isinstance(provider, Keyless):
                passed.append(Passed(name, "LLM_NOT_AUTHORIZED"))
                continue
            try:
                if must_stay and not await provider.endpoint.is_local():
                    passed.append(Passed(name, must_stay))
                    continue
            except Unavailable as error:
                away = error
                passed.append(Passed(name, error.reason))
                continue
            writers.append(ModelWriter(provider, ref.model, self._languages))
        return writers, passed, away

    def names(self) -> tuple[str, ...]:
        """What writes here, for people."""
        refs = [
            f"{ref.provider}:{ref.model}"
            for chain in self._table.chains()
            for ref in chain
            if ref.provider != BUILTIN
        ]
        return (BUILTIN, *dict.fromkeys(refs))
