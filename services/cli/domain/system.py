"""What an installation uses, as a few words for a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_PLURALS = {"image": "images", "video": "videos", "code": "sketches"}
_BUILTIN = {"text": "built-in writer", "other": "built-in renderer"}


def describe_system(document: Mapping[str, object]) -> list[str]:
    """Return lines such as ``text: built-in writer; images: built-in renderer; no GPU needed``.

    `document` is the answer of ``GET /api/system``. A second line names the settings that bring
    in what is not used yet.
    """
    writers = _words(document.get("writers"))
    backends = _backends(document.get("outputs"))
    silent = document.get("writers") is None or document.get("outputs") is None
    parts = [f"text: {', '.join(_writer(writer) for writer in writers) or 'nobody answers'}"]
    if document.get("outputs") is None:
        parts.append("images: nobody answers")
    for kind, names in backends.items():
        shown = ", ".join(_BUILTIN["other"] if name == "builtin" else name for name in names)
        parts.append(f"{_PLURALS.get(kind, kind)}: {shown}")
    used = {name for names in backends.values() for name in names} | set(writers)
    if used <= {"builtin"} and not silent:
        parts.append("no GPU needed")
    lines = ["; ".join(parts)]
    hints = []
    if writers == ["builtin"]:
        hints.append("ARTLAB_INTERCEPTION_OPENAI_BASE_URL and …_OPENAI_MODEL to use Ollama")
    if backends and not any("comfyui" in names for names in backends.values()):
        hints.append("ARTLAB_MEDIA_COMFYUI_URLS to use ComfyUI")
    if hints:
        lines.append(f"set {', '.join(hints)}")
    if level := document.get("safety_level"):
        lines.append(f"safety level: {level}")
    return lines


def _writer(name: str) -> str:
    return _BUILTIN["text"] if name == "builtin" else name


def _backends(outputs: object) -> dict[str, list[str]]:
    """Backends that can work now, by kind of output; text is told by its writers."""
    found: dict[str, list[str]] = {}
    rows = [row for row in outputs if isinstance(row, Mapping)] if isinstance(outputs, list) else []
    backend_of = {row.get("name"): row.get("backend") for row in rows}
    for output in rows:
        if output.get("available") is not True:
            continue
        # Of a chain of fallbacks, that of the one that would make it now.
        kind = output.get("kind")
        backend = backend_of.get(output.get("runs_as"), output.get("backend"))
        if not isinstance(kind, str) or not isinstance(backend, str) or kind == "text":
            continue
        names = found.setdefault(kind, [])
        if backend not in names:
            names.append(backend)
    return found


def _words(value: object) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
