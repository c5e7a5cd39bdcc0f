"""What happened in a run, in the order in which it happened and in plain words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.recorder.domain.entity import Entity
from services.recorder.domain.events import RunWarning
from services.recorder.domain.media_type import JSON_TYPES
from services.recorder.domain.outcome import Output, RunError
from services.recorder.domain.run import Run
from services.recorder.domain.views import RunView
from services.recorder.domain.vocabulary import EntityType, RunState

TITLES: Mapping[EntityType, str] = {
    EntityType.INPUT: "Idea",
    EntityType.CONTEXT: "Own rules",
    EntityType.INPUT_IMAGE: "Picture that was sent along",
    EntityType.TRANSLATION: "Translation",
    EntityType.SAFETY: "Safety check",
    EntityType.EXPLANATION: "Why not",
    EntityType.INTERCEPTION_PASS: "Pass",
    EntityType.INTERCEPTION: "Text after the interception",
    EntityType.MEDIA_PROMPT: "Prompt for the model",
    EntityType.SAFETY_PRE_OUTPUT: "Safety check before the output",
    EntityType.OUTPUT_IMAGE: "Picture",
    EntityType.OUTPUT_AUDIO: "Sound",
    EntityType.OUTPUT_MUSIC: "Music",
    EntityType.OUTPUT_VIDEO: "Video",
    EntityType.OUTPUT_CODE: "Code",
    EntityType.OUTPUT_TEXT: "Text",
    EntityType.PREVIEW_SAFETY: "Safety check of a preview",
    EntityType.SAFETY_OUTPUT: "Safety check of the output",
    EntityType.SAFETY_IMAGE: "Safety check of the picture",
    EntityType.ERROR: "Error",
    EntityType.QUESTION: "What a person was asked",
    EntityType.DECISION: "What the person decided",
    EntityType.STEP_OUTPUT: "What a step keeps",
    EntityType.LEGACY_METADATA: "What the predecessor had recorded",
}
_RUN_ENDS: Mapping[RunState, str] = {
    RunState.SUCCEEDED: "Everything that was asked for was made.",
    RunState.PARTIAL: "Some of what was asked for was made; the rest says why it was not.",
    RunState.BLOCKED: "A safety check said no.",
    RunState.FAILED: "It failed for a technical reason.",
    RunState.CANCELLED: "Somebody asked to stop.",
}
_OUTPUT_ENDS: Mapping[RunState, str] = {
    RunState.SUCCEEDED: "Made.",
    RunState.BLOCKED: "Not made: a safety check said no.",
    RunState.FAILED: "Not made, for a technical reason.",
    RunState.CANCELLED: "Not made: somebody asked to stop.",
    RunState.NOT_AVAILABLE: "Not made: what makes it is not available here.",
}
# Its bytes are there, and the run ended before they counted.
_RECORDED_ENDS: Mapping[RunState, str] = {
    RunState.FAILED: "Recorded, but not finished, for a technical reason.",
    RunState.CANCELLED: "Recorded, but not finished: somebody asked to stop.",
}
_PURPOSES = {
    "input": "what was typed",
    "context": "the own rules",
    "translation": "the translation",
    "interception": "the text between two passes",
    "media_prompt": "the text for the output",
    "input_image": "the picture that was sent along",
    "image": "what was made",
}
_CHECKS = {
    "wordlist": "word lists",
    "context": "what the text is about",
    "personal_data": "patterns of personal data",
    # The built-in judge is no model.
    "judge:builtin": "rules about words together",
    "judge": "a judging model",
    "nudenet": "a detector of nudity",
    "openai": "a model that looks at pictures",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a check said no, for the person; never the terms, which are evidence."""

    text: str
    suggestion: str
    language: str
    # A text that could be typed instead; empty in records of earlier releases.
    alternative: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One recorded thing: its title, its text (empty where it has none), and what was checked."""

    title: str
    entity: Entity
    text: str = ""
    is_cut: bool = False
    language: str = ""
    is_blocked: bool = False
    sentences: tuple[str, ...] = ()
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class OutputStory:
    """One requested output: how it ended, and what was recorded for it."""

    output: Output
    end: str
    warnings: tuple[RunWarning, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """A run as it is told to one audience."""

    seen: RunView
    end: str
    error: RunError | None
    warnings: tuple[RunWarning, ...]
    explanation: Explanation | None
    steps: tuple[Step, ...]
    outputs: tuple[OutputStory, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """The text of an entity, up to where it is shown."""

    text: str
    is_cut: bool = False


def tell(
    seen: RunView, texts: Mapping[int, Said], documents: Mapping[int, Mapping[str, Any]]
) -> Story:
    """Return the story of a run.

    Args:
        seen: the run as its audience sees it.
        texts: of the entities that are texts, by sequence.
        documents: of the entities that are JSON, by sequence.
    """
    run = seen.whole
    languages = _languages(run, documents)
    steps = [_step(one, texts, documents, languages) for one in seen.entities]
    recorded = {one.draft.output_index for one in seen.present if one.type.is_output}
    of_run = tuple(one for one in steps if not one.entity.draft.output_index)
    why = [one.explanation for one in of_run if one.entity.type is EntityType.EXPLANATION]
    return Story(
        seen=seen,
        end=_RUN_ENDS.get(run.state, ""),
        error=seen.error,
        warnings=tuple(one for one in seen.warnings if not one.output_index),
        explanation=why[-1] if why and run.state is RunState.BLOCKED else None,
        steps=of_run,
        outputs=tuple(
            OutputStory(
                output=output,
                end=_output_end(output, is_recorded=output.index in recorded),
                warnings=tuple(one for one in seen.warnings if one.output_index == output.index),
                steps=tuple(one for one in steps if one.entity.draft.output_index == output.index),
            )
            for output in seen.outputs
        ),
    )


def _output_end(output: Output, *, is_recorded: bool) -> str:
    end = _OUTPUT_ENDS.get(output.state, "")
    return _RECORDED_ENDS.get(output.state, end) if is_recorded else end


def _step(
    entity: Entity,
    texts: Mapping[int, Said],
    documents: Mapping[int, Mapping[str, Any]],
    languages: tuple[str, str],
) -> Step:
    title = TITLES[entity.type]
    if entity.is_erased:
        return Step(title, entity)
    if entity.type is EntityType.INTERCEPTION_PASS:
        title = f"{title} {entity.draft.pass_number}"
    if entity.type in JSON_TYPES:
        document = documents.get(entity.sequence, {})
        if entity.type is EntityType.ERROR:
            kind = _word(document, "type") or _word(document, "error_type")  # the predecessor's
            told = [f"{kind}: {_word(document, 'message')}"]
            details = document.get("details")
            if isinstance(details, dict) and (advice := _word(details, "advice")):
                told.append(f"What helps: {advice}.")
            return Step(title, entity, sentences=tuple(told))
        # What a verdict says to the person stands in an entity of its own.
        is_explanation = entity.type is EntityType.EXPLANATION
        return Step(
            title,
            entity,
            is_blocked=_word(document, "decision") == "blocked" or document.get("safe") is False,
            sentences=_sentences(document),
            explanation=_explanation(document) if is_explanation else None,
        )
    said = texts.get(entity.sequence, Said(""))
    typed = entity.type in (EntityType.INPUT, EntityType.CONTEXT)
    language = languages[0] if typed else languages[1]
    return Step(title, entity, said.text, said.is_cut, language, sentences=_notes(entity))


def _notes(entity: Entity) -> tuple[str, ...]:
    """What its metadata say that a reader would not expect."""
    metadata = entity.draft.metadata
    found = []
    if metadata.get("translated") == "false":
        found.append("It did not have to be translated.")
    if passed := metadata.get("fallback_from"):
        found.append(f"Another output took over from {passed}.")
    if earlier := metadata.get("reused_from"):
        found.append(f"Not made anew: it is that of {earlier}.")
    if metadata.get("late") == "true":
        found.append("It came after its time was over.")
    return tuple(found)


def _sentences(document: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    for verdict in _objects(document, "verdicts"):
        purpose = _word(verdict, "purpose")
        said = "safe" if _word(verdict, "decision") == "safe" else "blocked"
        checks = [_check(one) for one in _words(verdict, "checks")]
        means = f" with {_list(checks)}" if checks else ""
        sentence = f"Checked {_PURPOSES.get(purpose, purpose)}{means}: {said}"
        if rule := _word(verdict, "rule"):
            sentence += f"; rule {rule}"
        if terms := _words(verdict, "terms"):
            sentence += "; found " + ", ".join(f"“{term}”" for term in terms)
        found.append(sentence + ".")
    if not found and isinstance(document.get("safe"), bool):  # the predecessor's verdicts
        found.append(f"Checked: {'safe' if document['safe'] else 'blocked'}.")
    return tuple(found)


def _list(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _check(name: str) -> str:
    # The last part is a version; of a judge, what stands before it says which.
    kind, versionless = name.partition(":")[0], name.rpartition(":")[0]
    return _CHECKS.get(name) or _CHECKS.get(versionless) or _CHECKS.get(kind, name)


def _explanation(document: Mapping[str, Any]) -> Explanation | None:
    text = _word(document, "explanation")
    if not text:
        return None
    suggestion, language = _word(document, "suggestion"), _word(document, "language")
    return Explanation(text, suggestion, language, _word(document, "alternative"))


def _languages(run: Run, documents: Mapping[int, Mapping[str, Any]]) -> tuple[str, str]:
    """Of what was typed, and of what was made of it; empty where nobody said."""
    typed = made = ""
    for entity in run.entities:
        metadata = entity.draft.metadata
        typed = typed or metadata.get("from_language", "")
        made = metadata.get("to_language", "") or made
        typed = typed or _word(documents.get(entity.sequence, {}), "language")
    return typed, made or typed


def _word(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _words(document: Mapping[str, Any], key: str) -> Sequence[str]:
    value = document.get(key)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _objects(document: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    value = document.get(key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
