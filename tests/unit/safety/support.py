"""The real lists and a checker over them, loaded once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from services.kit.catalogue import CONFIGS
from services.safety.catalogue import load_safety
from services.safety.checker import TextChecker, TextToCheck
from services.safety.domain.levels import Level, MediaKind, Purpose
from services.safety.domain.safety import Safety
from services.safety.domain.verdict import Hit, ModelUsed, Verdict
from services.safety.judge.builtin import BuiltinJudge
from services.safety.ports import BUILTIN, Opinion, Question
from services.safety.workers import Workers

FOLDER = CONFIGS / "safety"
CORPUS = Path(__file__).parent / "corpus"


class AnsweringJudge:
    """A judge with a fixed answer or a fixed failure; it knows what it was asked."""

    def __init__(
        self,
        answer: tuple[Hit, ...] | Exception = (),
        name: str = BUILTIN,
        *,
        elsewhere: bool = False,
        remote: bool = False,
    ) -> None:
        self.name = name
        self.version = f"{name}:1"
        self.elsewhere = elsewhere
        self.remote = remote
        self.asked: list[str] = []
        self._answer = answer

    async def judge(self, question: Question) -> Opinion:
        self.asked.append(question.text)
        if isinstance(self._answer, Exception):
            raise self._answer
        return Opinion(self._answer, ModelUsed("fake", self.version))

    async def aclose(self) -> None:
        """Nothing is held."""


@cache
def safety() -> Safety:
    return load_safety(FOLDER)


@cache
def checker(level: Level = Level.RESEARCH) -> TextChecker:
    workers = Workers()
    return TextChecker(safety(), [BuiltinJudge(safety().rules, workers)], level, workers)


async def check(
    text: str,
    level: Level = Level.KIDS,
    purpose: Purpose = Purpose.INPUT,
    language: str = "",
) -> Verdict:
    kind = MediaKind.IMAGE if purpose is Purpose.MEDIA_PROMPT else None
    return await checker().check(TextToCheck(text, level, purpose, language, kind))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def corpus(name: str) -> list[tuple[str, str]]:
    """(topic or category, sentence) of one corpus file."""
    topics: dict[str, list[str]] = read(CORPUS / f"{name}.yaml")
    return [(topic, str(text)) for topic, texts in topics.items() for text in texts]


HARMLESS = corpus("harmless_de") + corpus("harmless_en")
FORBIDDEN = corpus("forbidden")
