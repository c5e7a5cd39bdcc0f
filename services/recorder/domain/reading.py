"""metadata.json back into a run, and upload records into uploads. Pure.

Whatever this version did not write is a DocumentError that names the place.
"""

from __future__ import annotations

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId, UploadName, parse_config_name, parse_pseudonym
from services.recorder.domain.claim import MAX_TTL_MS, MIN_TTL_MS, Claimant, parse_owner
from services.recorder.domain.document import LAYOUT_VERSION
from services.recorder.domain.entity import Entity, EntityDraft, ModelUse, filename_of
from services.recorder.domain.events import (
    EntityCommitted,
    EntityErased,
    OutputFinished,
    Payload,
    Progress,
    RunEvent,
    RunWarning,
    StageStarted,
    StateChanged,
)
from services.recorder.domain.fields import MAX_INT64, DocumentError, Fields
from services.recorder.domain.media_type import EXTENSIONS, allowed_media_types
from services.recorder.domain.outcome import Output, RunError
from services.recorder.domain.plan import MAX_PLAN_BYTES, Parent, is_plan_document
from services.recorder.domain.run import Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.domain.vocabulary import (
    Audience,
    EntityType,
    ExecutionMode,
    MediaKind,
    RunState,
    SafetyLevel,
)
from services.recorder.domain.warning import warnings_of


def read_run(document: object) -> Run:
    """Return the run a document tells. Raises DocumentError."""
    run = read_bare_run(document)
    _check(run, Fields(document))
    return run


def read_bare_run(document: object) -> Run:
    """Return the run of a document whose entities and events may be left out.

    Raises DocumentError.
    """
    fields = Fields(document)
    if fields.number("layout_version") != LAYOUT_VERSION:
        raise fields.wrong("layout_version", f"expected {LAYOUT_VERSION}")
    current = fields.object("current_state")
    try:
        return Run(
            run_id=RunId.parse(fields.text("run_id")),
            state=fields.word("status", RunState),
            config_name=parse_config_name(fields.text("config_name")),
            safety_level=fields.word("safety_level", SafetyLevel),
            execution_mode=fields.word("execution_mode", ExecutionMode),
            user_id=parse_pseudonym(fields.text("user_id")),
            seed=fields.number("seed", most=MAX_INT64),
            created_at=fields.time("timestamp"),
            deadline=fields.time("deadline"),
            request_digest=fields.sha256("request_digest"),
            expected_entities=fields.words("expected_outputs", EntityType),
            outputs=tuple(_output(one) for one in fields.objects("outputs")),
            stage=current.number("stage"),
            step=current.text("step"),
            output_index=current.number("output_index"),
            entities=tuple(_entity(one) for one in fields.objects("entities")),
            events=tuple(_event(one) for one in fields.objects("events")),
            models_used=tuple(read_model(one) for one in fields.objects("models_used")),
            finished_at=fields.time_or_none("finished_at"),
            error=_error(fields, "error"),
            parent=_parent(fields),
            plan_document=fields.text("plan") if fields.has("plan") else "",
            creator=_creator(fields),
        )
    except InvalidArgument as error:
        raise DocumentError(f"{error.field}: {error.message}") from None


def read_model(fields: Fields) -> ModelUse:
    """Return one element of `models_used`."""
    return ModelUse(fields.text("task"), fields.text("backend"), fields.text("model"))


def read_upload(document: object) -> UploadRecord:
    """Return the upload a record tells. Raises DocumentError."""
    fields = Fields(document)
    if fields.number("layout_version") != LAYOUT_VERSION:
        raise fields.wrong("layout_version", f"expected {LAYOUT_VERSION}")
    try:
        name = UploadName.parse(fields.text("upload"))
    except InvalidArgument as error:
        raise fields.parsed("upload", error) from None
    intent = None if fields.get("intent") is None else _entity(fields.object("intent"))
    return UploadRecord(name, _draft(fields), fields.time("begun_at"), intent)


def _parent(fields: Fields) -> Parent | None:
    if not fields.has("parent_run_id"):
        return None
    return Parent(RunId.parse(fields.text("parent_run_id")), fields.number("parent_sequence"))


def _creator(fields: Fields) -> Claimant | None:
    if not fields.has("creator"):
        return None
    creator = fields.object("creator")
    owner = parse_owner(creator.text("owner"), "creator.owner")
    return Claimant(owner, creator.number("ttl_ms", MIN_TTL_MS, MAX_TTL_MS))


def _check(run: Run, fields: Fields) -> None:
    if fields.has("plan") and not is_plan_document(run.plan_document):
        raise fields.wrong("plan", f"expected a JSON object of at most {MAX_PLAN_BYTES} bytes")
    if [one.sequence for one in run.entities] != list(range(1, len(run.entities) + 1)):
        raise fields.wrong("entities", "sequences are not 1..n")
    if [one.seq for one in run.events] != list(range(1, len(run.events) + 1)):
        raise fields.wrong("events", "numbers are not 1..n")
    if [one.index for one in run.outputs] != list(range(1, len(run.outputs) + 1)):
        raise fields.wrong("outputs", "indexes are not 1..n")
    if fields.words("completed_outputs", EntityType) != tuple(one.type for one in run.entities):
        raise fields.wrong("completed_outputs", "not the types of the entities")
    _check_states(run, fields)
    of_outputs = [run.output_index, *(one.draft.output_index for one in run.entities)]
    if max(of_outputs) > len(run.outputs):
        raise fields.wrong("output_index", "an output that is not there")
    done = f"{len(run.entities)}/{len(run.expected_entities)}"
    if fields.object("current_state").text("progress") != done:
        raise fields.wrong("current_state.progress", f"expected {done}")
    for event in run.events:
        match event.payload:
            case EntityCommitted(sequence) if not 1 <= sequence <= len(run.entities):
                raise fields.wrong("events", "an entity that is not there")
            case OutputFinished(index) if not 1 <= index <= len(run.outputs):
                raise fields.wrong("events", "an output that is not there")
            case StageStarted(progress) if progress.output_index > len(run.outputs):
                raise fields.wrong("events", "an output that is not there")
            case RunWarning(_, _, index) if index > len(run.outputs):
                raise fields.wrong("events", "an output that is not there")
    warnings = [(one.reason, one.output_index) for one in warnings_of(run)]
    if len(set(warnings)) != len(warnings):
        raise fields.wrong("events", "the same warning twice")
    told = [one.payload.sequence for one in run.events if isinstance(one.payload, EntityErased)]
    if sorted(told) != [one.sequence for one in run.entities if one.is_erased]:
        raise fields.wrong("events", "not what was erased, each once")


def _check_states(run: Run, fields: Fields) -> None:
    if run.state is RunState.NOT_AVAILABLE or run.is_final is (run.finished_at is None):
        raise fields.wrong("status", "no state of a run that stands like this")
    for output in run.outputs:
        if output.state is RunState.PARTIAL or (run.is_final and not output.state.is_final):
            raise fields.wrong("outputs", "no state of an output of such a run")


def _entity(fields: Fields) -> Entity:
    draft = _draft(fields)
    media_type = fields.text("media_type")
    if media_type not in allowed_media_types(draft.type):
        raise fields.wrong("media_type", f"not allowed for {draft.type.value}")
    sequence = fields.number("sequence", 1)
    filename = fields.text("filename")
    if filename != filename_of(sequence, draft.type, EXTENSIONS[media_type]):
        raise fields.wrong("filename", "does not follow from sequence, type and media type")
    return Entity(
        draft=draft,
        sequence=sequence,
        filename=filename,
        created_at=fields.time("timestamp"),
        media_type=media_type,
        size_bytes=fields.number("size_bytes", 1, MAX_INT64),
        sha256=fields.sha256("sha256"),
        upload_id=fields.text("upload_id"),
        erased_at=fields.time("erased_at") if fields.has("erased_at") else None,
    )


def _draft(fields: Fields) -> EntityDraft:
    return EntityDraft(
        type=fields.word("type", EntityType),
        output_index=fields.number("output_index"),
        metadata=fields.texts("metadata"),
        stage=fields.number("stage"),
        pass_number=fields.number("pass"),
        started_at=fields.time_or_none("started_at"),
        duration_ms=None if fields.get("duration_ms") is None else fields.number("duration_ms"),
        attempt=fields.number("attempt", 1),
        audience=fields.word("audience", Audience),
        models_used=tuple(read_model(one) for one in fields.objects("models_used")),
    )


def _output(fields: Fields) -> Output:
    return Output(
        index=fields.number("index", 1),
        config=fields.text("config"),
        occurrence=fields.number("occurrence", 1),
        kind=fields.word("media_type", MediaKind),
        state=fields.word("status", RunState),
        error=_error(fields, "error"),
    )


def _error(parent: Fields, key: str) -> RunError | None:
    if parent.get(key) is None:
        return None
    fields = parent.object(key)
    return RunError(
        reason=fields.text("reason"),
        message=fields.text("message"),
        stage=fields.number("stage"),
        retryable=fields.flag("retryable"),
    )


def _event(fields: Fields) -> RunEvent:
    inner = fields.object("payload")
    payload: Payload
    match fields.text("kind"):
        case "state_changed":
            payload = StateChanged(inner.word("state", RunState), _error(inner, "error"))
        case "stage_started":
            payload = StageStarted(
                Progress(
                    stage=inner.number("stage"),
                    step=inner.text("step"),
                    output_index=inner.number("output_index"),
                    completed=inner.number("completed"),
                    expected=inner.number("expected"),
                )
            )
        case "entity_committed":
            payload = EntityCommitted(inner.number("sequence", 1))
        case "output_finished":
            payload = OutputFinished(inner.number("index", 1))
        case "entity_erased":
            payload = EntityErased(inner.number("sequence", 1), inner.reason("reason"))
        case "warning":
            payload = RunWarning(
                inner.reason("reason"), inner.text("message"), inner.number("output_index")
            )
        case _:
            raise fields.wrong("kind", "unknown")
    return RunEvent(fields.number("seq", 1), fields.time("time"), payload)
