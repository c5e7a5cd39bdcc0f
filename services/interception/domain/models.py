"""Which models write what: providers, and for every mode and task a chain of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from services.interception.domain.writing import TaskName

Mode = Literal["eco", "fast"]
ProtocolName = Literal["openai", "ollama", "anthropic"]
BUILTIN = "builtin"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One link of a chain: a model of a provider; the built-in writer has no model."""

    provider: str
    model: str = ""

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}" if self.model else self.provider


Chain = tuple[ModelRef, ...]
ONLY_BUILTIN: Chain = (ModelRef(BUILTIN),)


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One server, as the table describes it. Seconds bound one text; see docs/models.md."""

    name: str
    protocol: ProtocolName
    base_url: str
    # Where its key is: a variable of the environment, or a file; both empty means none.
    key_env: str = ""
    key_file: str = ""
    # Whether it passes texts on though its address is near; else its addresses decide.
    remote: bool = False
    proxy: str = ""
    concurrency: int = 2
    waiting: int = 64
    total_seconds: float = 120.0
    first_token_seconds: float = 60.0
    between_tokens_seconds: float = 60.0
    keep_alive: str = ""
    omit: frozenset[Literal["temperature", "top_p", "max_tokens", "seed"]] = frozenset()


@dataclass(frozen=True, slots=True)
class ModelTable:
    """The whole table. A recipe's own chain comes before that of its task."""

    providers: Mapping[str, ProviderSpec] = field(default_factory=dict)
    tasks: Mapping[tuple[Mode, TaskName], Chain] = field(default_factory=dict)
    recipes: Mapping[tuple[Mode, str], Chain] = field(default_factory=dict)

    def chain(self, mode: Mode, task: TaskName, recipe: str) -> Chain:
        """Who may write, in order; at least one."""
        own = self.recipes.get((mode, recipe)) if task == "interception" else None
        return own or self.tasks.get((mode, task), ONLY_BUILTIN)

    def chains(self, mode: Mode | None = None) -> tuple[Chain, ...]:
        """All chains, or those of a mode."""
        every = [(of, chain) for (of, _), chain in self.tasks.items()]
        every += [(of, chain) for (of, _), chain in self.recipes.items()]
        return tuple(chain for of, chain in every if mode in (None, of))

    def models_of(self, provider: str, mode: Mode | None = None) -> tuple[str, ...]:
        """The models a provider is used with, each once, in the order of the table."""
        refs = (ref for chain in self.chains(mode) for ref in chain if ref.provider == provider)
        return tuple(dict.fromkeys(ref.model for ref in refs if ref.model))

    @property
    def longest_seconds(self) -> float:
        """What the slowest chain may take, one provider after the other."""
        return max((self.seconds_of(chain) for chain in self.chains()), default=0.0)

    def seconds_of(self, chain: Chain) -> float:
        """What a chain may take."""
        return sum(
            self.providers[ref.provider].total_seconds
            for ref in chain
            if ref.provider in self.providers
        )

    def with_provider(self, spec: ProviderSpec, model: str) -> ModelTable:
        """The table with one more provider, which writes wherever nobody but the built-in does."""
        chain: Chain = (ModelRef(spec.name, model),)
        tasks: dict[tuple[Mode, TaskName], Chain] = dict(self.tasks)
        modes: tuple[Mode, ...] = ("eco", "fast")
        names: tuple[TaskName, ...] = ("interception", "translation", "media_prompt")
        for mode in modes:
            for task in names:
                if tasks.get((mode, task), ONLY_BUILTIN) == ONLY_BUILTIN:
                    tasks[mode, task] = chain
        return replace(self, providers={**self.providers, spec.name: spec}, tasks=tasks)
