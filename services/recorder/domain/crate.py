"""Runs in the words of RO-Crate 1.1 and its Process Run Crate profile 0.5. Pure.

One dataset and one CreateAction a run: what went in, what came out, the models that were used, the
pseudonym that asked. RO-Crate demands a license, and which one holds for what people and models
made is not known here: that is what it says.

https://www.researchobject.org/ro-crate/specification/1.1/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from services.recorder.domain.archive import (
    CRATE,
    LINES,
    MANIFEST,
    METADATA,
    REPORT,
    ArchiveFile,
    path_in_run,
    split_path,
)
from services.recorder.domain.document import Document, time_text
from services.recorder.domain.entity import ModelUse
from services.recorder.domain.media_type import JSON
from services.recorder.domain.run import Run
from services.recorder.domain.views import RunView
from services.recorder.domain.vocabulary import EntityType, RunState

SPECIFICATION = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
CONTEXT = [
    f"{SPECIFICATION}/context",
    {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"},
]
_ROOT = "./"
_LICENSE = "Not stated: ask those who made these runs before you use or share them."
_ARTLAB = "#artlab"
_DONE = frozenset({RunState.SUCCEEDED, RunState.PARTIAL})
_INPUTS = frozenset({EntityType.INPUT, EntityType.CONTEXT, EntityType.INPUT_IMAGE})
_KNOWN = {
    METADATA: ("The record of the run", JSON),
    REPORT: ("The run as a page for people", "text/html"),
    LINES: ("The record of every run, one a line", "application/jsonl"),
    MANIFEST: ("Every file with its size and digests", JSON),
}


def head_entities(
    runs: Iterable[str], top_files: Sequence[ArchiveFile], as_of: datetime | None
) -> list[Document]:
    """Return the descriptor, the root and what belongs to no single run.

    Args:
        runs: ids of the runs.
        top_files: files outside of the run folders that are complete; the manifest is not.
        as_of: when the newest of the runs became final; None when there are none.
    """
    runs = list(runs)
    parts = [f"{run}/" for run in runs] + [one.path for one in top_files] + [MANIFEST]
    # A date is required, and the first second of the clock says as well as any that there is none.
    published = "1970-01-01T00:00:00Z" if as_of is None else time_text(as_of)
    return [
        {
            "@id": CRATE,
            "@type": "CreativeWork",
            "conformsTo": {"@id": SPECIFICATION},
            "about": {"@id": _ROOT},
        },
        {
            "@id": _ROOT,
            "@type": "Dataset",
            "conformsTo": {"@id": PROFILE},
            "name": f"Artlab runs ({len(runs)})",
            "description": "Recorded runs of Artlab: what was typed, what became of it, and how.",
            "datePublished": published,
            "license": _LICENSE,
            "hasPart": _ids(parts),
            "mentions": _ids(_action_id(run) for run in runs),
        },
        {
            "@id": PROFILE,
            "@type": "CreativeWork",
            "name": "Process Run Crate",
            "version": "0.5",
        },
        {
            "@id": _ARTLAB,
            "@type": "SoftwareApplication",
            "name": "Artlab",
            "description": "A generation server for arts education",
        },
        {"@id": MANIFEST, "@type": "File", **_described(MANIFEST)},
        *(_file(one, one.path, {}) for one in top_files),
    ]


def run_entities(seen: RunView, files: Sequence[ArchiveFile]) -> list[Document]:
    """Return the dataset of a run, its files and its action."""
    run = seen.whole
    return [_dataset(run, files), *_files(seen, files), _action(seen)]


def shared_entities(seen: RunView) -> list[Document]:
    """Return who and what a run names that other runs may name too."""
    return [
        {
            "@id": _person_id(seen.whole.user_id),
            "@type": "Person",
            "name": seen.whole.user_id,
            "description": "A pseudonym",
        },
        *(
            {
                "@id": _model_id(use),
                "@type": "SoftwareApplication",
                "name": use.model or use.backend,
                "description": f"{use.task}, by {use.backend}",
            }
            for use in seen.models_used
        ),
    ]


def _dataset(run: Run, files: Sequence[ArchiveFile]) -> Document:
    # In words: the run it goes on from need not be in the crate, nor anywhere any more.
    lineage = "" if run.parent is None else f", going on from {run.parent.run_id.name}"
    return {
        "@id": f"{run.run_id}/",
        "@type": "Dataset",
        "name": f"Run {run.run_id}",
        "description": f"A run of the recipe {run.config_name}: {run.state.value}{lineage}",
        "dateCreated": time_text(run.created_at),
        "identifier": run.run_id.name,
        "hasPart": _ids(one.path for one in files),
    }


def _files(seen: RunView, files: Sequence[ArchiveFile]) -> list[Document]:
    entities = {one.filename: one for one in seen.entities}
    found = []
    for file in files:
        _, filename = split_path(file.path)
        facts: Document = {}
        if filename in entities:
            entity = entities[filename]
            facts = {
                "description": entity.type.value.replace("_", " "),
                "encodingFormat": entity.media_type,
                "dateCreated": time_text(entity.created_at),
            }
        found.append(_file(file, filename, facts))
    return found


def _file(file: ArchiveFile, name: str, facts: Document) -> Document:
    return {
        "@id": file.path,
        "@type": "File",
        **((facts and {"name": name}) or _described(name)),
        **facts,
        "contentSize": str(file.size_bytes),
        "sha256": file.sha256,
    }


def _described(name: str) -> Document:
    description, media_type = _KNOWN[name]
    return {"name": name, "description": description, "encodingFormat": media_type}


def _action(seen: RunView) -> Document:
    run = seen.whole
    done = run.state in _DONE
    action: Document = {
        "@id": _action_id(run.run_id.value),
        "@type": "CreateAction",
        "name": f"{run.config_name}, {run.state.value}",
        "description": (
            f"Run of the recipe {run.config_name} with the seed {run.seed}, "
            f"safety level {run.safety_level.value}, mode {run.execution_mode.value}"
        ),
        "startTime": _moment(run.created_at),
        "actionStatus": f"http://schema.org/{'Completed' if done else 'Failed'}ActionStatus",
        "agent": {"@id": _person_id(run.user_id)},
        "instrument": _ids([_ARTLAB, *(_model_id(one) for one in seen.models_used)]),
    }
    if run.finished_at is not None:
        action["endTime"] = _moment(run.finished_at)
    for key, entities in (
        ("object", [one for one in seen.present if one.type in _INPUTS]),
        ("result", [one for one in seen.present if one.type.is_output]),
    ):
        if entities:
            action[key] = _ids(path_in_run(run.run_id, one.filename) for one in entities)
    if not done:
        action["error"] = run.state.value if seen.error is None else seen.error.reason
    return action


def _action_id(run: str) -> str:
    return f"#run-{run}"


def _person_id(user_id: str) -> str:
    return f"#person-{user_id}"


def _model_id(use: ModelUse) -> str:
    return "#model-" + "/".join(quote(one, safe="") for one in (use.task, use.backend, use.model))


def _ids(names: Iterable[str]) -> Document | list[Document]:
    """What is referred to; one thing stands by itself, as RO-Crate asks."""
    found = [{"@id": name} for name in names]
    return found[0] if len(found) == 1 else found


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
