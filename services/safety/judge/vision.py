"""A judge of pictures that asks a vision model at an OpenAI-compatible server.

The module imports the `openai` client and Pillow, which are slow to load: it is imported where a
server is configured.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Sequence

from PIL import Image

from services.safety.domain.levels import Level
from services.safety.domain.verdict import ModelUsed
from services.safety.judge.answers import Answer
from services.safety.judge.complaints import OfPictures
from services.safety.judge.model_client import Asking, ModelClient, ModelServer
from services.safety.judge.vision_answer import NAME, answer_schema, instructions, read_answer
from services.safety.ports import ImageOpinion, Look

JPEG_QUALITY = 90
MAX_ANSWER_TOKENS = 1500


class VisionJudge:
    """Judges by a vision model. Close it with `aclose`."""

    name = NAME

    def __init__(self, server: ModelServer, categories: Sequence[str]) -> None:
        self.version = f"openai:{server.model}"
        self.remote = server.is_remote
        self._categories = tuple(categories)
        self._complaints = OfPictures()
        self._client = ModelClient(server, self._complaints)

    async def load(self) -> None:
        """Nothing is loaded here; whether the server has the model shows with the first picture."""

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def judge(self, look: Look, level: Level) -> ImageOpinion:
        """Return what the model says of this picture.

        Raises DeadlineExceeded IMAGE_JUDGE_TIMEOUT, Unavailable IMAGE_JUDGE_UNAVAILABLE or
        IMAGE_JUDGE_PROTOCOL, ResourceExhausted IMAGE_JUDGE_RATE_LIMITED, FailedPrecondition
        IMAGE_JUDGE_EMPTY, …_ONLY_THOUGHTS, …_REFUSED, …_REJECTED, …_NOT_AUTHORIZED,
        …_MODEL_NOT_FOUND.
        """
        async with self._client.turn():
            picture = await asyncio.to_thread(_data_url, look)
            async with self._client.in_time():
                return await self._client.ask(self._asking(picture, level), self._read)

    def _asking(self, picture: str, level: Level) -> Asking:
        shown = [{"type": "image_url", "image_url": {"url": picture}}]
        return Asking(
            messages=(
                {"role": "system", "content": instructions(self._categories, level)},
                {"role": "user", "content": shown},
            ),
            max_tokens=MAX_ANSWER_TOKENS,
            schema=answer_schema(self._categories),
        )

    def _read(self, answer: Answer) -> ImageOpinion:
        sightings, refused = read_answer(answer.text, self._categories, self._complaints)
        return ImageOpinion(sightings, ModelUsed("openai", answer.model), refused)


def _data_url(look: Look) -> str:
    file = io.BytesIO()
    picture = Image.frombytes("RGB", (look.width, look.height), look.rgb)
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
