"""Whether a request under an id that is known is the request that made the run. Pure."""

from __future__ import annotations

import hashlib
import json

from services.kit.errors import AlreadyExists
from services.orchestrator.domain.plan import DEFAULT_PIPELINE, RunRequest
from services.orchestrator.domain.run import RecordedEntity, RecordedRun


def require_same_request(request: RunRequest, run: RecordedRun) -> None:
    """Raise AlreadyExists REQUEST_ID_REUSED unless the run is that of the request.

    What a request that goes on from another run leaves to it is as that one has it, and cannot
    differ.
    """
    rerun = request.rerun
    unset = rerun.unset if rerun is not None else ()
    recorded = {entity.type: entity for entity in run.entities}
    same = (
        run.user_id == request.user_id
        and run.parent == (rerun.parent if rerun is not None else None)
        and ("config_name" in unset or run.config_name == request.config_name)
        and ("execution_mode" in unset or run.mode == request.mode)
        and request.level in (None, run.level)
        and request.seed in (None, run.seed)
        and request.output_configs in ((), run.output_configs)
        and (
            "input_images" in unset
            or request.input_images == run.expected_entities.count("input_image")
        )
        and ("input_text" in unset or _is_same_text(request.input_text, recorded.get("input"), run))
        and ("context" in unset or _is_same_text(request.context, recorded.get("context"), run))
        and _has_same_options(request, recorded.get("input"))
    )
    if not same:
        raise AlreadyExists(
            "REQUEST_ID_REUSED", "this id belongs to another request", field="request_id"
        )


def options_sha256(request: RunRequest) -> str:
    """Return what was asked for besides texts and outputs, as one digest for the record.

    Empty when nothing was. The same before and after the request is filled in from a parent.
    """
    rerun = request.rerun
    unset = rerun.unset if rerun is not None else ()
    options: dict[str, object] = {}
    parameters = {} if "parameters" in unset else dict(request.parameters)
    if parameters or request.allow_reuse:
        options = {"allow_reuse": request.allow_reuse, "parameters": parameters}
    if request.pipeline != DEFAULT_PIPELINE and "pipeline" not in unset:
        options["pipeline"] = request.pipeline
    if request.pause_before_render:
        options["pause_before_render"] = True
    if rerun is not None:
        options["rerun"] = [str(rerun.parent), rerun.from_stage, rerun.text_sha256]
    if not options:
        return ""
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()


def _is_same_text(text: str, entity: RecordedEntity | None, run: RecordedRun) -> bool:
    if entity is None:
        # Not recorded: it was not given, or the start was cut before.
        return not text or run.state == "pending"
    return hashlib.sha256(text.encode()).hexdigest() == entity.sha256


def _has_same_options(request: RunRequest, entity: RecordedEntity | None) -> bool:
    if entity is None:
        return True
    return entity.metadata.get("options_sha256", "") == options_sha256(request)
