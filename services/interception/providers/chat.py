"""What a protocol of language models offers: streamed answers, what there is, and loading it.

One implementation for each protocol; everything that all of them need (the line, deadlines,
repeating, hygiene) is in `model_writer`, once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

# What of the sampling a server may be spared, because it refuses it.
Sampled = Literal["temperature", "top_p", "max_tokens", "seed"]
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
# Of a list of models; OpenRouter's is half a megabyte.
MAX_LISTED = 10_000
MAX_NAME_CHARACTERS = 200

State = Literal["ready", "loading", "model_missing", "unreachable", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class ChatServer:
    """Which server, and how it is reached. Seconds bound single waits."""

    base_url: str
    api_key: str = ""
    proxy: str = ""
    silence_seconds: float = 60.0
    # "5m", "-1" (for ever), "0": how long Ollama keeps a model in memory; empty: its own default.
    keep_alive: str = ""
    omitted: frozenset[Sampled] = field(default_factory=frozenset)

    def __repr__(self) -> str:
        # A key must not end in a log by way of a traceback.
        return f"ChatServer(base_url={self.base_url!r})"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question: the instructions, the text alone, and how to sample."""

    model: str
    system: str
    user: str
    temperature: float
    top_p: float
    max_tokens: int
    # 0 to 2^31 - 1.
    seed: int


@dataclass(frozen=True, slots=True)
class ChatPiece:
    """What one message of the stream says; what it does not say is empty."""

    text: str = ""
    # What the server says it uses.
    model: str = ""
    # Why it ended, in the server's word: "stop", "length", "end_turn" …
    finish: str = ""
    # Whether the protocol itself says that the model declined.
    declined: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """How a model at a server is, as far as one can see without asking it anything."""

    state: State
    # For people.
    detail: str = ""
    # 0 to 1 while it is fetched; None when unknown.
    progress: float | None = None


class ChatProvider(Protocol):
    """A server that speaks one protocol.

    All methods raise ArtlabErrors with LLM_ reasons (`errors`), never those of a client library.
    """

    # "openai", "ollama", "anthropic"
    protocol: str

    def sent(self, request: ChatRequest) -> Mapping[str, str]:
        """The sampling as it will be sent, for the record: what is left out is not in it."""
        ...

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatPiece, None]:
        """Yield the answer as it grows. Closing the iterator closes the connection."""
        ...

    async def look(self, model: str) -> Sight:
        """How the model is; never raises, an unreachable server is a sight as well."""
        ...

    def warm(self, model: str, *, fetch: bool) -> AsyncGenerator[Sight, None]:
        """Load the model, fetching it first where it is missing and may be; the last sight counts.

        Raises like `chat`.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
