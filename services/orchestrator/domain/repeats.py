"""Whether a request under an id that is known is the request that made the run. Pure."""

from __future__ import annotations

import hashlib
import json

from services.kit.errors import AlreadyExists
from services.orchestrator.domain.plan import RunRequest
from services.orchestrator.domain.run import RecordedEntity, RecordedRun


def require_same_request(request: RunRequest, run: RecordedRun) -> None:
    """Raise AlreadyExists REQUEST_ID_REUSED unless the run is that of the request."""
    recorded = {entity.type: entity for entity in run.entities}
    same = (
        run.config_name == request.config_name
        and run.user_id == request.user_id
        and run.mode == request.mode
        and request.level in (None, run.level)
        and request.seed in (None, run.seed)
        and request.output_configs in ((), run.output_configs)
        and request.input_images == run.expected_entities.count("input_image")
        and _is_same_text(request.input_text, recorded.get("input"), run)
        and _is_same_text(request.context, recorded.get("context"), run)
        and _has_same_options(request, recorded.get("input"))
    )
    if not same:
        raise AlreadyExists(
            "REQUEST_ID_REUSED", "this id belongs to another request", field="request_id"
        )


def options_sha256(request: RunRequest) -> str:
    """What the slots were given, as one digest for the record; empty when nothing was."""
    if not (request.parameters or request.allow_reuse):
        return ""
    options = {"allow_reuse": request.allow_reuse, "parameters": dict(request.parameters)}
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
