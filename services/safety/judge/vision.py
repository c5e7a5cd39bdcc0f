"""A judge of pictures that asks a vision model at an OpenAI-compatible server.

The module imports the `openai` client and Pillow, which are slow to load: it is imported where a
server is configured.
"""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import openai
from PIL import Image

from services.kit.bounded_http import bounded_client
from services.kit.deadline import budget
from services.kit.errors import FailedPrecondition, ResourceExhausted, Unavailable
from services.kit.log import facts
from services.safety.domain.levels import Level
from services.safety.domain.verdict import ModelUsed
from services.safety.judge.vision_answer import (
    NAME,
    answer_schema,
    instructions,
    odd,
    read_answer,
)
from services.safety.judge.vision_errors import vision_errors
from services.safety.ports import ImageOpinion, Look

log = logging.getLogger(__name__)

RETRIES = 2
BACKOFF_SECONDS = 0.3
# A server that asks for more patience than this is asked again by whoever asked us.
LONGEST_PAUSE_SECONDS = 5.0
JPEG_QUALITY = 90
MAX_ANSWER_TOKENS = 1500
MAX_RESPONSE_BYTES = 1024 * 1024
MAX_MODEL_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class VisionServer:
    """Which model where, and how long and how often at once it is asked."""

    base_url: str
    model: str
    api_key: str = ""
    timeout_seconds: float = 30.0
    at_once: int = 2

    def __repr__(self) -> str:
        # A key must not end in a log by way of a traceback.
        return f"VisionServer(model={self.model!r})"


class VisionJudge:
    """Judges by a vision model. Close it with `aclose`."""

    name = NAME

    def __init__(self, server: VisionServer, categories: Sequence[str]) -> None:
        self.version = f"openai:{server.model}"
        self._server = server
        self._categories = tuple(categories)
        self._turn = asyncio.Semaphore(server.at_once)
        self._client = openai.AsyncOpenAI(
            base_url=server.base_url,
            # The client insists on one; without a key of ours the header is not sent.
            api_key=server.api_key or "none",
            max_retries=0,
            http_client=bounded_client(
                silence_seconds=server.timeout_seconds,
                with_key=bool(server.api_key),
                encrypted=server.base_url.startswith("https:"),
                max_bytes=MAX_RESPONSE_BYTES,
                strange=lambda what: odd(f"the vision model's answer {what}"),
            ),
        )

    async def load(self) -> None:
        """Nothing is loaded here; whether the server has the model shows with the first picture."""

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def judge(self, look: Look, level: Level) -> ImageOpinion:
        """Return what the model says of this picture.

        Raises DeadlineExceeded IMAGE_JUDGE_TIMEOUT, Unavailable IMAGE_JUDGE_UNAVAILABLE or
        IMAGE_JUDGE_PROTOCOL, ResourceExhausted IMAGE_JUDGE_RATE_LIMITED, FailedPrecondition
        IMAGE_JUDGE_EMPTY, …_ONLY_THOUGHTS, …_REFUSED, …_REJECTED, …_NOT_AUTHORIZED,
        …_MODEL_NOT_FOUND.
        """
        async with self._turn:
            picture = await asyncio.to_thread(_data_url, look)
            with vision_errors():
                async with asyncio.timeout(budget(self._server.timeout_seconds)):
                    return await self._ask_patiently(picture, level)

    async def _ask_patiently(self, picture: str, level: Level) -> ImageOpinion:
        for attempt in range(RETRIES + 1):
            try:
                with vision_errors():
                    return await self._ask(picture, level)
            except (Unavailable, ResourceExhausted) as error:
                pause = error.retry_after_seconds or BACKOFF_SECONDS * 2**attempt
                if attempt == RETRIES or pause > LONGEST_PAUSE_SECONDS:
                    raise
                log.info("asking again", extra=facts(reason=error.reason, attempt=attempt + 1))
            # So that many who were sent away together do not come back together.
            await asyncio.sleep(pause * random.uniform(1.0, 1.5))  # noqa: S311
        raise AssertionError

    async def _ask(self, picture: str, level: Level) -> ImageOpinion:
        answer = await self._client.chat.completions.create(
            model=self._server.model,
            messages=[
                {"role": "system", "content": instructions(self._categories, level)},
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": picture}}],
                },
            ],
            response_format={
                "type": "json_schema",
                "json_schema": {
                    "name": "judgement",
                    "schema": answer_schema(self._categories),
                    "strict": True,
                },
            },
            temperature=0.0,
            max_tokens=MAX_ANSWER_TOKENS,
        )
        return self._opinion(answer)

    def _opinion(self, answer: Any) -> ImageOpinion:
        if not answer.choices:
            raise odd("the model's answer has no choices")
        choice = answer.choices[0]
        message = choice.message
        if choice.finish_reason == "content_filter" or message.refusal:
            raise FailedPrecondition("IMAGE_JUDGE_REFUSED", "the model declined to judge")
        if choice.finish_reason == "length":
            raise odd("the model's answer was cut")
        content = message.content
        if content is not None and not isinstance(content, str):
            raise odd("the model's answer is no text")
        # Servers of thinking models have no common name for it.
        thought = any(getattr(message, name, None) for name in ("reasoning_content", "reasoning"))
        sightings, refused = read_answer(content or "", self._categories, thought=thought)
        return ImageOpinion(sightings, ModelUsed("openai", self._model_name(answer.model)), refused)

    def _model_name(self, told: object) -> str:
        name = told if isinstance(told, str) and told else self._server.model
        return "".join(c for c in name if c.isprintable())[:MAX_MODEL_NAME_CHARACTERS]


def _data_url(look: Look) -> str:
    file = io.BytesIO()
    picture = Image.frombytes("RGB", (look.width, look.height), look.rgb)
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
