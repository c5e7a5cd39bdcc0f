"""The types of steps there are for runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.orchestrator.engine.step import Step
from services.orchestrator.steps import (
    check_text,
    input_images,
    interception,
    media_generation,
    media_prompt,
    pre_output_safety,
    question,
    translate,
    translation_and_safety,
)

# Those that begin with saying where the run stands, or do nothing at all.
ANNOUNCING = frozenset(
    {
        translation_and_safety.TYPE,
        interception.TYPE,
        media_prompt.TYPE,
        pre_output_safety.TYPE,
        media_generation.TYPE,
        check_text.TYPE,
        translate.TYPE,
    }
)
FACTORIES: Mapping[str, Callable[[], Step]] = {
    input_images.TYPE: input_images.AwaitInputImages,
    translation_and_safety.TYPE: translation_and_safety.TranslationAndSafety,
    interception.TYPE: interception.Interception,
    "question": question.AskPerson,
    media_prompt.TYPE: media_prompt.MediaPrompt,
    pre_output_safety.TYPE: pre_output_safety.PreOutputSafety,
    media_generation.TYPE: media_generation.MediaGeneration,
    check_text.TYPE: check_text.CheckText,
    translate.TYPE: translate.Translate,
}
