"""configs/models.yaml, read strictly: file, field and reason for everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.interception.domain.models import (
    BUILTIN,
    Chain,
    Mode,
    ModelRef,
    ModelTable,
    ProtocolName,
    ProviderSpec,
)
from services.interception.domain.writing import TaskName
from services.interception.settings import parse_proxy
from services.kit.catalogue import CatalogueError, Defect, parse_document
from services.kit.near import parse_base_url

# What all links of a chain may take together; the orchestrator waits a little longer for a pass.
LONGEST_CHAIN_SECONDS = 900.0
MAX_PROVIDERS = 32
MAX_LINKS = 8

_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
_RecipeName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
# provider/model, where a model may have slashes of its own; or the built-in writer.
_Ref = Annotated[
    str, Field(pattern=r"^(builtin|[a-z][a-z0-9_-]{0,39}/[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,198})$")
]
_Chain = Annotated[list[_Ref], Field(min_length=1, max_length=MAX_LINKS)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class ProviderFile(_Strict):
    """One server."""

    protocol: ProtocolName
    base_url: str = Field(min_length=1, max_length=2000)
    key_env: str = Field("", pattern=r"^([A-Z][A-Z0-9_]{1,99})?$")
    key_file: str = Field("", max_length=4096)
    remote: Literal["auto", True] = "auto"
    proxy: str = Field("", max_length=2000)
    concurrency: int = Field(2, ge=1, le=256)
    waiting: int = Field(64, ge=0, le=10_000)
    total_seconds: float = Field(120.0, ge=1, le=LONGEST_CHAIN_SECONDS)
    first_token_seconds: float = Field(60.0, ge=0.1, le=600)
    between_tokens_seconds: float = Field(60.0, ge=0.1, le=600)
    keep_alive: str = Field("", pattern=r"^(-1|[0-9]{1,6}(ms|s|m|h)?)?$")
    omit: list[Literal["temperature", "top_p", "max_tokens", "seed"]] = Field(
        default_factory=list, max_length=4
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_api(cls, value: str) -> str:
        return parse_base_url(value)

    @field_validator("proxy")
    @classmethod
    def _is_http(cls, value: str) -> str:
        return parse_proxy(value)

    @model_validator(mode="after")
    def _hangs_together(self) -> ProviderFile:
        if self.key_env and self.key_file:
            raise ValueError("key_file: give this or key_env, not both")
        if self.keep_alive and self.protocol != "ollama":
            raise ValueError("keep_alive: only the protocol ollama has it")
        if self.protocol == "anthropic" and "max_tokens" in self.omit:
            raise ValueError("omit: anthropic requires max_tokens")
        return self


class _Tasks(_Strict):
    interception: _Chain
    translation: _Chain
    media_prompt: _Chain


class _Modes(_Strict):
    eco: _Tasks
    fast: _Tasks


class _OwnModes(_Strict):
    eco: _Chain | None = None
    fast: _Chain | None = None


class ModelsFile(_Strict):
    """The whole file."""

    providers: dict[_Name, ProviderFile] = Field(default_factory=dict, max_length=MAX_PROVIDERS)
    modes: _Modes
    recipes: dict[_RecipeName, _OwnModes] = Field(default_factory=dict, max_length=1000)


def load_models(path: Path) -> ModelTable:
    """Return the table. Raises CatalogueError with every defect."""
    defects: list[Defect] = []
    file = parse_document(path, ModelsFile, defects)
    if file is not None:
        defects += _across(path.name, file)
    if file is None or defects:
        raise CatalogueError(defects)
    tasks: dict[tuple[Mode, TaskName], Chain] = {}
    recipes: dict[tuple[Mode, str], Chain] = {}
    for mode, tasks_of in _each_mode(file.modes):
        tasks[mode, "interception"] = _chain(tasks_of.interception)
        tasks[mode, "translation"] = _chain(tasks_of.translation)
        tasks[mode, "media_prompt"] = _chain(tasks_of.media_prompt)
    for name, own in file.recipes.items():
        if own.eco:
            recipes["eco", name] = _chain(own.eco)
        if own.fast:
            recipes["fast", name] = _chain(own.fast)
    return ModelTable(
        providers={name: _spec(name, each) for name, each in file.providers.items()},
        tasks=tasks,
        recipes=recipes,
    )


def _each_mode(modes: _Modes) -> tuple[tuple[Mode, _Tasks], ...]:
    return (("eco", modes.eco), ("fast", modes.fast))


def _chain(refs: list[str]) -> Chain:
    return tuple(ModelRef(*ref.split("/", 1)) for ref in refs)


def _spec(name: str, file: ProviderFile) -> ProviderSpec:
    return ProviderSpec(
        name=name,
        **{
            **file.model_dump(),
            "remote": file.remote is True,
            "omit": frozenset(file.omit),
        },
    )


def _across(file_name: str, file: ModelsFile) -> Iterator[Defect]:
    """What is wrong with chains and with names, which no field alone can know."""
    if BUILTIN in file.providers:
        yield Defect(file_name, f"providers.{BUILTIN}", "this name is the built-in writer's")
    for mode, tasks in _each_mode(file.modes):
        for task, refs in tasks.model_dump().items():
            yield from _chain_defects(file_name, f"modes.{mode}.{task}", mode, refs, file)
    for name, own in file.recipes.items():
        for own_mode, refs in own.model_dump(exclude_none=True).items():
            where = f"recipes.{name}.{own_mode}"
            yield from _chain_defects(file_name, where, own_mode, refs, file)


def _chain_defects(
    file_name: str, where: str, mode: str, refs: list[str], file: ModelsFile
) -> Iterator[Defect]:
    seconds = 0.0
    for place, ref in enumerate(refs):
        field = f"{where}.{place}"
        provider = ref.split("/", 1)[0]
        if ref in refs[:place]:
            yield Defect(file_name, field, "named twice in one chain")
        if provider == BUILTIN:
            if place < len(refs) - 1:
                yield Defect(file_name, field, "builtin never fails: what follows is never asked")
        elif provider not in file.providers:
            yield Defect(file_name, field, f"there is no provider {provider}")
        else:
            spec = file.providers[provider]
            seconds += spec.total_seconds
            if mode == "eco" and (spec.remote is True or spec.proxy):
                yield Defect(file_name, field, f"{provider} is remote, and eco stays at home")
    if seconds > LONGEST_CHAIN_SECONDS:
        reason = f"may take {seconds:g} s together, at most {LONGEST_CHAIN_SECONDS:g}"
        yield Defect(file_name, where, reason)
