"""What the protocols share when they look at a model or load it."""

from __future__ import annotations

from services.interception.providers.chat import ChatRequest, Sight
from services.kit.errors import ArtlabError

# How often a server that is loading is asked again.
POLL_SECONDS = 1.0


def seen_from(error: ArtlabError) -> Sight:
    """How a model is whose server answered with this error, or not at all."""
    if error.reason == "LLM_MODEL_LOADING":
        return Sight("loading", error.message)
    if error.reason == "LLM_MODEL_NOT_FOUND":
        return Sight("model_missing", error.message)
    if error.reason == "LLM_NOT_AUTHORIZED":
        return Sight("refused", f"{error.message}: is the key right?")
    return Sight("unreachable", error.message)


def first_word(model: str) -> ChatRequest:
    """What a model is asked when only its being there counts."""
    return ChatRequest(
        model=model,
        system="Answer with one word.",
        user="Hello",
        temperature=0.0,
        top_p=1.0,
        max_tokens=1,
        seed=0,
    )
