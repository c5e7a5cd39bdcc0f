from __future__ import annotations

from services.cli.domain.system import describe_system


def output(kind: str, backend: str, available: bool = True) -> dict[str, object]:
    return {"name": f"{backend}_{kind}", "kind": kind, "backend": backend, "available": available}


def test_without_anything_configured_it_says_what_is_built_in_and_how_to_get_more() -> None:
    document = {
        "writers": ["builtin"],
        "judges": ["builtin"],
        "safety_level": "youth",
        "outputs": [
            output("image", "builtin"),
            output("image", "comfyui", available=False),
            output("text", "builtin"),
        ],
    }
    assert describe_system(document) == [
        "text: built-in writer; images: built-in renderer; no GPU needed",
        "set ARTLAB_INTERCEPTION_OPENAI_BASE_URL and …_OPENAI_MODEL to use Ollama, "
        "ARTLAB_MEDIA_COMFYUI_URLS to use ComfyUI",
        "safety level: youth",
    ]


def test_what_is_used_is_named_and_not_offered_again() -> None:
    document = {
        "writers": ["openai:llama3.2", "builtin"],
        "outputs": [output("image", "comfyui"), output("image", "builtin")],
    }
    assert describe_system(document) == [
        "text: openai:llama3.2, built-in writer; images: comfyui, built-in renderer"
    ]


def test_services_that_did_not_answer_are_not_called_built_in() -> None:
    lines = describe_system({"writers": None, "outputs": None, "safety_level": None})
    assert lines[0] == "text: nobody answers; images: nobody answers"
    assert "no GPU needed" not in lines[0]


def test_a_fallback_that_would_make_an_output_is_what_is_used() -> None:
    document = {
        "writers": ["builtin"],
        "outputs": [
            output("code", "builtin"),
            {**output("code", "code"), "runs_as": "builtin_code"},
            {**output("image", "comfyui"), "runs_as": ""},
        ],
    }
    assert describe_system(document)[0] == (
        "text: built-in writer; sketches: built-in renderer; images: comfyui"
    )
