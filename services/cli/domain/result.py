"""What came of a run, for a person and for a program. Pure.

Read from metadata.json of the run and from the texts that were followed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class SeenEntity:
    """One committed entity; `content` only of the small ones that are read while following."""

    sequence: int
    type: str
    filename: str = ""
    media_type: str = ""
    size_bytes: int = 0
    output_index: int = 0
    pass_number: int = 0
    content: str = ""
    document: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One file of an output, and where it is."""

    filename: str
    media_type: str
    url: str


@dataclass(frozen=True, slots=True)
class OutputResult:
    """One requested output: the url of its first file, or the reason there is none."""

    index: int
    config: str
    media_type: str
    status: str
    reason: str
    filename: str
    url: str
    # All of them: those of a batch, or of several nodes.
    files: tuple[OutputFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Why a check said no, in the person's language where there are words for it."""

    stage: int
    rule: str
    explanation: str
    suggestion: str
    # A text that could be typed instead.
    alternative: str = ""


@dataclass(frozen=True, slots=True)
class RunResult:
    """The end of a run."""

    run_id: str
    status: str
    config: str
    final_output: str
    outputs: tuple[OutputResult, ...]
    blocks: tuple[Block, ...]
    error: str

    def as_json(self) -> dict[str, object]:
        """The result as JSON values, under the names of the fields."""
        return asdict(self)


def summarize(
    run_id: str,
    document: Mapping[str, object],
    seen: Sequence[SeenEntity],
    url_of: Callable[[int], str],
) -> RunResult:
    """Return the result of a run from its metadata.json and the entities that were seen.

    `url_of` gives the address of an entity by its sequence.
    """
    outputs = tuple(_output(row, seen, url_of) for row in _rows(document.get("outputs")))
    status = _text(document.get("status"))
    texts = [text for entity in seen if (text := _text_of(entity)) is not None]
    return RunResult(
        run_id=run_id,
        status=status,
        config=_text(document.get("config_name")),
        # What a check said no to is not handed on as a result.
        final_output=texts[-1] if texts and status != "blocked" else "",
        outputs=outputs,
        blocks=tuple(_blocks(seen)),
        error=describe_error(document.get("error")),
    )


def describe_error(error: object) -> str:
    """Return a run's or an output's error as one line; empty when there is none."""
    if isinstance(error, Mapping):
        reason, message = _text(error.get("reason")), _text(error.get("message"))
        return f"{reason}: {message}" if reason and message else reason or message
    return _text(error)


def _output(
    row: Mapping[str, object], seen: Sequence[SeenEntity], url_of: Callable[[int], str]
) -> OutputResult:
    index = row.get("index")
    number = index if isinstance(index, int) else 0
    status = _text(row.get("status"))
    # Bytes of an output that was blocked after it was made are not for showing.
    files = tuple(
        OutputFile(entity.filename, entity.media_type, url_of(entity.sequence))
        for entity in seen
        if entity.type.startswith("output_")
        and entity.output_index == number
        and status == "succeeded"
    )
    first = files[0] if files else None
    return OutputResult(
        index=number,
        config=_text(row.get("config")),
        media_type=first.media_type if first else _text(row.get("media_type")),
        status=status,
        reason=describe_error(row.get("reason")),
        filename=first.filename if first else "",
        url=first.url if first else "",
        files=files,
    )


def _blocks(seen: Sequence[SeenEntity]) -> list[Block]:
    found: list[Block] = []
    for entity in seen:
        document = entity.document
        if document is None or document.get("decision") != "blocked":
            continue
        stage = document.get("stage")
        block = Block(
            stage=stage if isinstance(stage, int) else 0,
            rule=_text(document.get("rule")),
            explanation=_text(document.get("explanation")),
            suggestion=_text(document.get("suggestion")),
            alternative=_text(document.get("alternative")),
        )
        if block not in found:
            found.append(block)
    return found


def _text_of(entity: SeenEntity) -> str | None:
    """The text a run came to by an entity: what was made of it, or what a person put in place."""
    if entity.type == "interception":
        return entity.content
    document = entity.document or {}
    if entity.type != "decision" or entity.output_index or document.get("decision") != "edit":
        return None
    return _text(document.get("text"))


def _rows(value: object) -> list[Mapping[str, object]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
