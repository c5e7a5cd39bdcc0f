"""What can write here: where it is, what it is doing, and loading models before they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from services.interception.composing import Keyless
from services.interception.domain.models import BUILTIN, ModelTable
from services.interception.model_writer import ProviderInUse
from services.interception.ports import ExecutionMode
from services.interception.providers.chat import Sight, State
from services.interception.providers.sights import seen_from
from services.kit.clock import Clock
from services.kit.errors import ArtlabError

# Less than a page that asks is patient, and a look for all who ask within some seconds.
LOOK_SECONDS = 1.5
KEPT_SECONDS = 3.0
NEVER = "local only: it is never called"
NOT_IN_ECO = "it is elsewhere: eco mode never calls it"
# Where a name leads changes rarely.
PLACE_KEPT_SECONDS = 30.0
# The worst of several models is the provider's state.
_WORST: Sequence[State] = (
    "unreachable",
    "refused",
    "model_missing",
    "loading",
    "unknown",
    "ready",
)


@dataclass(frozen=True, slots=True)
class ProviderView:
    """One provider, as people see it."""

    name: str
    protocol: str
    models: tuple[str, ...]
    remote: bool
    sight: Sight
    running: int
    waiting: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Warming:
    """How far one model is."""

    provider: str
    model: str
    sight: Sight


class ProviderList:
    """The providers of the table.

    One that is elsewhere is never asked how it is: it shows what came of the last text, and
    whether it may be used at all.
    """

    def __init__(
        self,
        table: ModelTable,
        providers: Mapping[str, ProviderInUse | Keyless],
        clock: Clock,
        *,
        local_only: bool = False,
    ) -> None:
        self.local_only = local_only
        self._table = table
        self._providers = providers
        self._clock = clock
        self._kept: dict[str, tuple[float, Sight]] = {}
        self._places: dict[str, tuple[float, bool]] = {}
        # By provider and model, while it is loaded.
        self._warming: dict[tuple[str, str], Sight] = {}
        self._locks = {name: asyncio.Lock() for name in providers}

    async def view(self) -> tuple[ProviderView, ...]:
        """All of them, in the order of the table; the built-in writer last. Never raises."""
        views = await asyncio.gather(*map(self._view, self._providers.values()))
        builtin = ProviderView(BUILTIN, BUILTIN, (), False, Sight("ready"), 0, 0, 0)
        return (*views, builtin)

    async def warm(
        self, modes: Sequence[ExecutionMode], *, fetch: bool
    ) -> AsyncGenerator[Warming, None]:
        """Load every model of the modes, one after the other; tell how far each is.

        Those that may not be asked in any of the modes are told as refused.
        """
        for name, provider in self._providers.items():
            used_in: dict[str, list[ExecutionMode]] = {}
            for mode in modes:
                for model in self._table.models_of(name, mode):
                    used_in.setdefault(model, []).append(mode)
            for model, modes_of in used_in.items():
                must_stay = self.local_only or "fast" not in modes_of
                warming = self._warm(name, provider, model, fetch=fetch, must_stay=must_stay)
                async with aclosing(warming) as sights:
                    async for sight in sights:
                        yield Warming(name, model, sight)

    async def _warm(
        self,
        name: str,
        provider: ProviderInUse | Keyless,
        model: str,
        *,
        fetch: bool,
        must_stay: bool,
    ) -> AsyncGenerator[Sight, None]:
        if isinstance(provider, Keyless):
            yield Sight("refused", provider.reason)
            return
        try:
            if must_stay and not await provider.endpoint.is_local():
                yield Sight("refused", NEVER if self.local_only else NOT_IN_ECO)
                return
            async with self._locks[name], aclosing(provider.chat.warm(model, fetch=fetch)) as all_:
                async for sight in all_:
                    self._warming[name, model] = sight
                    provider.seen[model] = sight
                    yield sight
        except ArtlabError as error:
            provider.seen[model] = seen_from(error)
            yield provider.seen[model]
        finally:
            self._warming.pop((name, model), None)
            self._kept.pop(name, None)

    async def _view(self, provider: ProviderInUse | Keyless) -> ProviderView:
        if isinstance(provider, Keyless):
            spec = provider.spec
            return ProviderView(
                name=spec.name,
                protocol=spec.protocol,
                models=self._table.models_of(spec.name),
                remote=spec.remote,
                sight=Sight("refused", provider.reason),
                running=0,
                waiting=0,
                concurrency=spec.concurrency,
            )
        models = self._table.models_of(provider.name)
        remote, sight = True, Sight("unreachable", "its name does not resolve")
        try:
            remote = not await self._is_local(provider)
        except ArtlabError:
            pass
        else:
            sight = self._from_afar(provider, models) if remote else await self._near(provider)
        return ProviderView(
            name=provider.name,
            protocol=provider.chat.protocol,
            models=models,
            remote=remote,
            sight=sight,
            running=provider.line.running,
            waiting=provider.line.waiting,
            concurrency=provider.line.at_once,
        )

    async def _is_local(self, provider: ProviderInUse) -> bool:
        now = self._clock.monotonic()
        until, local = self._places.get(provider.name, (0.0, False))
        if now >= until:
            local = await provider.endpoint.is_local()
            self._places[provider.name] = (now + PLACE_KEPT_SECONDS, local)
        return local

    def _from_afar(self, provider: ProviderInUse, models: Sequence[str]) -> Sight:
        if self.local_only:
            return Sight("refused", NEVER)
        unknown = Sight("unknown", "nobody has asked it yet")
        return _worst([provider.seen.get(model, unknown) for model in models])

    async def _near(self, provider: ProviderInUse) -> Sight:
        models = self._table.models_of(provider.name)
        for model in models:
            if (warming := self._warming.get((provider.name, model))) is not None:
                return replace(warming, detail=f"{model}: {warming.detail}")
        until, kept = self._kept.get(provider.name, (0.0, Sight("unknown")))
        if self._clock.monotonic() >= until:
            kept = _worst(await asyncio.gather(*(self._look(provider, model) for model in models)))
            self._kept[provider.name] = (self._clock.monotonic() + KEPT_SECONDS, kept)
        return kept

    async def _look(self, provider: ProviderInUse, model: str) -> Sight:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                sight = await provider.chat.look(model)
        except TimeoutError:
            sight = Sight("unreachable", "it does not answer")
        if sight.state == "ready" and sight.detail and provider.line.running:
            # Somebody's text waits for it to come into memory.
            return Sight("loading", f"{model}: into memory")
        return sight


def _worst(sights: Sequence[Sight]) -> Sight:
    if not sights:
        return Sight("unknown", "no chain names it")
    return min(sights, key=lambda sight: _WORST.index(sight.state))
