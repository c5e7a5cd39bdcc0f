"""What the installation says of itself: services, writers, outputs, recipes, pipelines."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class PipelineModel(BaseModel):
    """A pipeline that a run may follow."""

    name: str
    title: dict[str, str] = Field(description="by language")
    description: dict[str, str] = Field(description="by language")
    steps: list[str]
    mermaid: str = Field(description="its flow as a Mermaid flowchart")


class PipelinesResponse(BaseModel):
    """The pipelines, by name."""

    pipelines: list[PipelineModel]


class HealthResponse(BaseModel):
    """The process lives."""

    status: Literal["ok"]


class ServiceModel(BaseModel):
    """One service."""

    name: str
    status: Literal["serving", "not_serving"]


class ReadyResponse(BaseModel):
    """Whether runs can be made."""

    status: Literal["ready", "not_ready"]
    services: list[ServiceModel]
    loading: list[str] = Field(
        description="providers whose model is being loaded: runs are taken, and wait for it"
    )


class ProviderModel(BaseModel):
    """Something that writes."""

    name: str
    protocol: str
    models: list[str]
    remote: bool = Field(description="whether texts leave one's own machines with it")
    state: str = Field(description="ready, loading, model_missing, unreachable, refused or unknown")
    reason: str
    running: int
    waiting: int
    concurrency: int


class ParameterModel(BaseModel):
    """What a slot takes; another value is `INVALID_PARAMETER` at the start of a run."""

    name: str
    kind: str = Field(description="integer, number, choice, text, boolean or loras")
    default: bool | int | float | str | None
    minimum: float | None = Field(description="of a number, and of the strengths of loras")
    maximum: float | None
    multiple_of: int = Field(description="of an integer: divided by it `remainder` is left; 0: any")
    remainder: int
    choices: list[str] = Field(description="of a choice, and the names of loras")
    at_most: int = Field(description="how many loras at once")
    max_characters: int = Field(description="of a text")


class OutputModel(BaseModel):
    """One output config."""

    name: str
    kind: str
    backend: str
    available: bool
    reason: str
    title: dict[str, str]
    input_images: int = Field(description="how many pictures it takes; each must be brought")
    parameters: list[str] = Field(description="slots that a request may set")
    parameter_specs: list[ParameterModel] = Field(description="what each of them takes")
    runs_as: str = Field(
        description="the fallback that would make it now; empty: it makes itself, or none can"
    )


class RecipeSummary(BaseModel):
    """A recipe as a person chooses it; texts by language, "de" and "en" at least."""

    name: str = Field(description="what `schema` of a start takes")
    title: dict[str, str]
    description: dict[str, str]
    category: str
    icon: str = Field(description="an emoji")
    color: str = Field(description="#rrggbb")
    order: int
    tags: list[str]
    minimum_age: int
    workshop_suitable: bool
    accepts_context: bool = Field(description="whether the person may write rules of their own")
    requires_context: bool = Field(description="whether they must")
    passes: list[dict[str, str]] = Field(
        description="titles of its passes, in order; empty where they have none of their own"
    )
    output_configs: list[str] = Field(description="the outputs it asks for; empty: the default")
    default_output: str = Field(description="a kind; empty: text only")
    local_only: bool = Field(description="whether nothing of it reaches a machine but one's own")
    origin: str = Field(description="shipped, or local: somebody here wrote it")


class RecipesResponse(BaseModel):
    """All recipes."""

    recipes: list[RecipeSummary]


class RecipeModel(RecipeSummary):
    """A recipe with everything it says."""

    context: dict[str, str] = Field(description="what a model is told to be")
    meta: dict[str, str] = Field(description="sources and remarks")
    translates_input: bool


class SystemResponse(BaseModel):
    """What this installation is made of; null: the service did not answer."""

    version: str
    services: list[ServiceModel]
    writers: list[str] | None
    providers: list[ProviderModel] | None
    judges: list[str] | None
    safety_level: str | None
    image_judges: list[str] | None
    image_check_levels: list[str] | None = Field(
        description="levels at which nothing that is seen is shown before its check"
    )
    outputs: list[OutputModel] | None


class InstanceModel(BaseModel):
    """One server of a backend."""

    url: str
    state: str = Field(description="ready, busy, down, stalled or draining")
    reason: str
    running: int = Field(description="jobs of ours")
    waiting: int = Field(description="jobs of ours handed in and not begun")
    queue_length: int = Field(description="all jobs, those of others included")
    version: str
    vram_total_bytes: int
    vram_free_bytes: int
    unfit_configs: dict[str, str] = Field(description="output configs, with what they lack here")


class BackendModel(BaseModel):
    """One kind of renderer."""

    name: str
    available: bool
    reason: str
    waiting: int = Field(description="jobs of ours that wait for a place")
    instances: list[InstanceModel]


class BackendsResponse(BaseModel):
    """What renders here."""

    backends: list[BackendModel]
