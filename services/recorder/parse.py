"""Messages into the types of the domain: every field checked, in proto order, with its path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, run_pb2
from services.kit.errors import InvalidArgument
from services.kit.ids import (
    RunId,
    UploadName,
    parse_config_name,
    parse_pseudonym,
    parse_upload_id,
)
from services.recorder.commits import Declared, SmallEntity
from services.recorder.domain.entity import EntityDraft, ModelUse, parse_entity_type
from services.recorder.domain.events import RunWarning
from services.recorder.domain.outcome import Output, OutputEnd, RunError, needs_error
from services.recorder.domain.plan import MAX_PLAN_BYTES, Parent, Plan, is_plan_document
from services.recorder.domain.run import MAX_ENTITIES, Position
from services.recorder.domain.vocabulary import (
    FINAL_OUTPUT_STATES,
    FINAL_RUN_STATES,
    Audience,
    EntityType,
    RunState,
)
from services.recorder.parse_claims import parse_epoch
from services.recorder.parse_values import (
    MAX_INT64,
    below,
    has_control,
    parse_line,
    parse_milliseconds,
    parse_number,
    parse_reason,
    parse_sha256,
    parse_time,
)
from services.recorder.words import (
    AUDIENCES,
    EXECUTION_MODES,
    MEDIA_KINDS,
    RUN_STATES,
    SAFETY_LEVELS,
)
from services.recorder.writing import Chunk

MAX_OUTPUTS = 16
MAX_EXPECTED_ENTITIES = 1000
MAX_SMALL_ENTITY_BYTES = 1024 * 1024
MAX_NEW_ENTITIES = 16
MAX_NEW_BYTES = 2 * 1024 * 1024
MAX_SEED = 2**53 - 1
MAX_STAGE = 4
MAX_PASS = 1000
MAX_ATTEMPT = 1000
MAX_METADATA_KEYS = 64
MAX_METADATA_BYTES = 16 * 1024
MAX_MODELS = 16
MAX_MODEL_CHARACTERS = 200
MAX_MESSAGE_CHARACTERS = 1000

_STEP = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_KEY = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)


def parse_plan(request: recorder_pb2.CreateRunRequest) -> Plan:
    """Return what the creator decides of a run."""
    run = request.run
    return Plan(
        config_name=parse_config_name(run.config_name, "run.config_name"),
        safety_level=SAFETY_LEVELS.word(run.safety_level, "run.safety_level"),
        user_id=parse_pseudonym(run.user_id, "run.user_id"),
        deadline=parse_time(run.deadline, "run.deadline") if run.HasField("deadline") else None,
        outputs=_outputs(run.outputs),
        expected_entities=_expected(run.expected_entities),
        execution_mode=EXECUTION_MODES.word(run.execution_mode, "run.execution_mode"),
        parent=_parent(run, request.request_id),
        seed=parse_number(run.seed, "run.seed", most=MAX_SEED),
        document=_plan_document(request.plan),
    )


def parse_draft(entity: run_pb2.Entity) -> EntityDraft:
    """Return what is said of an entity."""
    return EntityDraft(
        type=parse_entity_type(entity.type, "entity.type"),
        output_index=parse_number(entity.output_index, "entity.output_index", most=MAX_OUTPUTS),
        metadata=_metadata(entity.metadata),
        stage=parse_number(entity.stage, "entity.stage", most=MAX_STAGE),
        pass_number=parse_number(getattr(entity, "pass"), "entity.pass", most=MAX_PASS),
        started_at=(
            parse_time(entity.start_time, "entity.start_time")
            if entity.HasField("start_time")
            else None
        ),
        duration_ms=(
            parse_milliseconds(entity.duration, "entity.duration")
            if entity.HasField("duration")
            else None
        ),
        attempt=parse_number(entity.attempt, "entity.attempt", most=MAX_ATTEMPT) or 1,
        audience=(
            AUDIENCES.word(entity.audience, "entity.audience")
            if entity.audience
            else Audience.RESEARCH
        ),
        models_used=_models(entity.models_used),
    )


def parse_small_entity(
    message: recorder_pb2.RecordEntityRequest | recorder_pb2.NewEntity, upload_id: str
) -> SmallEntity:
    """Return a small entity, its data's size checked."""
    draft = _required_draft(message)
    if not message.data:
        raise InvalidArgument("EMPTY_MEDIA", "an entity has at least one byte", field="data")
    if len(message.data) > MAX_SMALL_ENTITY_BYTES:
        raise InvalidArgument(
            "MEDIA_TOO_LARGE", "larger entities are sent by WriteEntity", field="data"
        )
    return SmallEntity(upload_id, draft, message.data)


def parse_new_entities(
    messages: Sequence[recorder_pb2.NewEntity], *, least: int = 0
) -> list[SmallEntity]:
    """Return small entities that are committed together."""
    if not least <= len(messages) <= MAX_NEW_ENTITIES:
        raise InvalidArgument(
            "OUT_OF_BOUNDS", f"expected {least} to {MAX_NEW_ENTITIES}", field="entities"
        )
    if sum(len(one.data) for one in messages) > MAX_NEW_BYTES:
        raise InvalidArgument(
            "MEDIA_TOO_LARGE", f"at most {MAX_NEW_BYTES} bytes together", field="entities"
        )
    found: dict[str, SmallEntity] = {}
    for place, one in enumerate(messages):
        with below(f"entities[{place}]"):
            upload_id = parse_upload_id(one.upload_id)
            if upload_id in found:
                raise InvalidArgument("INVALID_NAME", "is there twice", field="upload_id")
            found[upload_id] = parse_small_entity(one, upload_id)
    return list(found.values())


def parse_chunk(request: recorder_pb2.WriteEntityRequest) -> Chunk:
    """Return one message of an upload stream."""
    return Chunk(
        name=UploadName.parse(request.upload) if request.upload else None,
        offset=parse_number(request.offset, "offset", most=MAX_INT64),
        finish=request.finish,
        said=_declared(request) if request.finish else None,
        draft=parse_draft(request.entity) if request.HasField("entity") else None,
        data=request.data,
        epoch=parse_epoch(request.epoch),
    )


def parse_run_end(request: recorder_pb2.FinalizeRunRequest) -> tuple[RunState, RunError | None]:
    """Return how a run ends."""
    state: RunState = RUN_STATES.word(request.state, "state", FINAL_RUN_STATES)
    return state, _end_error(request, state, "error")


def parse_output_end(output: run_pb2.Output, field: str = "output") -> OutputEnd:
    """Return which output ends, and how."""
    index = parse_number(output.index, f"{field}.index", least=1, most=MAX_OUTPUTS)
    state: RunState = RUN_STATES.word(output.state, f"{field}.state", FINAL_OUTPUT_STATES)
    return OutputEnd(index, state, _end_error(output, state, f"{field}.error"))


def parse_output_ends(outputs: Sequence[run_pb2.Output]) -> list[OutputEnd]:
    """Return which outputs end together with their run, and how."""
    if len(outputs) > MAX_OUTPUTS:
        raise InvalidArgument("TOO_MANY", f"at most {MAX_OUTPUTS}", field="outputs")
    return [parse_output_end(one, f"outputs[{place}]") for place, one in enumerate(outputs)]


def parse_position(progress: run_pb2.Progress) -> Position:
    """Return where a run stands once an entity is recorded."""
    return Position(
        parse_number(progress.stage, "progress.stage", most=MAX_STAGE),
        parse_step(progress.step, "progress.step"),
        parse_number(progress.output_index, "progress.output_index", most=MAX_OUTPUTS),
    )


def parse_warning(warning: run_pb2.Warning) -> RunWarning:
    """Return what a person should know."""
    return RunWarning(
        reason=parse_reason(warning.reason, "warning.reason"),
        message=parse_line(warning.message, "warning.message", MAX_MESSAGE_CHARACTERS),
        output_index=parse_number(warning.output_index, "warning.output_index", most=MAX_OUTPUTS),
    )


def parse_step(step: str, field: str = "step") -> str:
    """Return the name of a step. Raises InvalidArgument INVALID_STEP."""
    if _STEP.fullmatch(step) is None:
        raise InvalidArgument("INVALID_STEP", "expected ^[a-z][a-z0-9_]{0,63}$", field=field)
    return step


def _parent(run: run_pb2.Run, request_id: str) -> Parent | None:
    # 0 unless there is a parent.
    most = MAX_ENTITIES if run.parent else 0
    run_id = RunId.parse_name(run.parent, "run.parent") if run.parent else None
    sequence = parse_number(run.parent_sequence, "run.parent_sequence", most=most)
    if run_id is None:
        return None
    if run_id.value == request_id:
        raise InvalidArgument("INVALID_NAME", "expected another run", field="run.parent")
    return Parent(run_id, sequence)


def _plan_document(text: str) -> str:
    if text and not is_plan_document(text):
        raise InvalidArgument(
            "INVALID_PLAN",
            f"expected a JSON object of at most {MAX_PLAN_BYTES} bytes",
            field="plan",
        )
    return text


def _required_draft(
    request: recorder_pb2.RecordEntityRequest | recorder_pb2.NewEntity,
) -> EntityDraft:
    if not request.HasField("entity"):
        raise InvalidArgument("ENTITY_REQUIRED", "must be set", field="entity")
    return parse_draft(request.entity)


def _declared(request: recorder_pb2.WriteEntityRequest) -> Declared:
    if not request.HasField("digest"):
        raise InvalidArgument("DIGEST_REQUIRED", "required with finish", field="digest")
    digest: common_pb2.Digest = request.digest
    sha256 = parse_sha256(digest.sha256, "digest.sha256")
    return Declared(sha256, parse_number(digest.size_bytes, "digest.size_bytes", most=MAX_INT64))


def _outputs(outputs: Sequence[run_pb2.Output]) -> tuple[Output, ...]:
    if len(outputs) > MAX_OUTPUTS:
        raise InvalidArgument("TOO_MANY", f"at most {MAX_OUTPUTS}", field="run.outputs")
    seen: dict[str, int] = {}
    found = []
    for place, output in enumerate(outputs):
        path = f"run.outputs[{place}]"
        if output.index != place + 1:
            raise InvalidArgument("OUT_OF_BOUNDS", f"expected {place + 1}", field=f"{path}.index")
        config = parse_config_name(output.output_config, f"{path}.output_config")
        occurrence = seen[config] = seen.get(config, 0) + 1
        if output.occurrence != occurrence:
            raise InvalidArgument(
                "OUT_OF_BOUNDS", f"expected {occurrence}", field=f"{path}.occurrence"
            )
        kind = MEDIA_KINDS.word(output.kind, f"{path}.kind")
        found.append(Output(output.index, config, occurrence, kind))
    return tuple(found)


def _expected(types: Sequence[str]) -> tuple[EntityType, ...]:
    if len(types) > MAX_EXPECTED_ENTITIES:
        raise InvalidArgument(
            "TOO_MANY", f"at most {MAX_EXPECTED_ENTITIES}", field="run.expected_entities"
        )
    return tuple(
        parse_entity_type(text, f"run.expected_entities[{place}]")
        for place, text in enumerate(types)
    )


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    field = "entity.metadata"
    if len(metadata) > MAX_METADATA_KEYS:
        raise InvalidArgument("TOO_MANY", f"at most {MAX_METADATA_KEYS} keys", field=field)
    size = 0
    for key, value in metadata.items():
        if _KEY.fullmatch(key) is None:
            raise InvalidArgument(
                "INVALID_METADATA", "expected keys ^[a-z][a-z0-9_]{0,62}$", field=field
            )
        if has_control(value):
            raise InvalidArgument("INVALID_METADATA", "a control character", field=field)
        size += len(key) + len(value.encode())
    if size > MAX_METADATA_BYTES:
        raise InvalidArgument("TOO_MANY", f"at most {MAX_METADATA_BYTES} bytes", field=field)
    # Sorted, because a map has no order and a record should not differ by chance.
    return dict(sorted(metadata.items()))


def _models(models: Sequence[common_pb2.ModelUse]) -> tuple[ModelUse, ...]:
    field = "entity.models_used"
    if len(models) > MAX_MODELS:
        raise InvalidArgument("TOO_MANY", f"at most {MAX_MODELS}", field=field)
    return tuple(
        ModelUse(
            task=parse_line(model.task, f"{field}[{place}].task", MAX_MODEL_CHARACTERS),
            backend=parse_line(model.backend, f"{field}[{place}].backend", MAX_MODEL_CHARACTERS),
            model=parse_line(model.model, f"{field}[{place}].model", MAX_MODEL_CHARACTERS),
        )
        for place, model in enumerate(models)
    )


def _end_error(
    message: recorder_pb2.FinalizeRunRequest | run_pb2.Output, state: RunState, field: str
) -> RunError | None:
    if not message.HasField("error"):
        if needs_error(state):
            raise InvalidArgument("ERROR_REQUIRED", f"required for {state.value}", field=field)
        return None
    if state is RunState.SUCCEEDED:
        raise InvalidArgument("ERROR_NOT_ALLOWED", "a success has none", field=field)
    error = message.error
    return RunError(
        reason=parse_reason(error.reason, f"{field}.reason"),
        message=parse_line(error.message, f"{field}.message", MAX_MESSAGE_CHARACTERS),
        stage=parse_number(error.stage, f"{field}.stage", most=MAX_STAGE),
        retryable=error.retryable,
    )
