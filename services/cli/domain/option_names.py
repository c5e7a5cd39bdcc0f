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
}


def option_of(field: str) -> str:
    """Return the option that fills a field: ``--output`` for ``output_configs[0]``.

    A field without an option keeps its name.
    """
    return _OPTIONS.get(field.partition("[")[0], field)
