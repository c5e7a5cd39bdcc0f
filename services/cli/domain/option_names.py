"""What the fields of a request are called on the command line. Pure."""

from __future__ import annotations

_OPTIONS = {
    "schema": "--config",
    "input_text": "TEXT",
    "output_configs": "--output",
    "safety_level": "--level",
    "execution_mode": "--mode",
    "context": "--context",
    "seed": "--seed",
    "language": "--language",
    "input_images": "--image",
    "pipeline": "--pipeline",
    "pause_before_render": "--pause",
    "parameters": "--set",
    "allow_reuse": "--reuse",
    "user_id": "--user",
    "rerun.run_id": "--rerun",
    "rerun.from_stage": "--from-stage",
    "rerun.text": "TEXT",
    "question": "QUESTION",
    "decision": "DECISION",
    "text": "--text",
}


def option_of(field: str) -> str:
    """Return the option that fills a field: ``--output`` for ``output_configs[0]``.

    A field without an option keeps its name.
    """
    name = field.partition("[")[0]
    if name.startswith("parameters."):
        return f"--set {name.removeprefix('parameters.')}"
    return _OPTIONS.get(name, field)
