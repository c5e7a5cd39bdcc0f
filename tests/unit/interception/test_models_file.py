from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from services.interception.composing import Keyless, connect
from services.interception.domain.models import ONLY_BUILTIN, Mode, ModelRef, ProviderSpec
from services.interception.domain.writing import TaskName
from services.interception.models_file import load_models
from services.kit.catalogue import CONFIGS, CatalogueError

OLLAMA = {"protocol": "ollama", "base_url": "http://127.0.0.1:11434"}
REMOTE = {"protocol": "openai", "base_url": "https://models.example/v1", "remote": True}
TASKS: tuple[TaskName, ...] = ("interception", "translation", "media_prompt")


def written(tmp_path: Path, **changes: object) -> Path:
    chains = {task: ["builtin"] for task in TASKS}
    document = {"modes": {"eco": {**chains}, "fast": {**chains}}, **changes}
    path = tmp_path / "models.yaml"
    # JSON is YAML too, and knows no aliases.
    path.write_text(json.dumps(document))
    return path


def modes(**of: list[str]) -> dict[str, dict[str, list[str]]]:
    """Chains of both modes, by `mode_task`."""
    found: dict[str, dict[str, list[str]]] = {
        mode: {task: ["builtin"] for task in TASKS} for mode in ("eco", "fast")
    }
    for name, chain in of.items():
        mode, task = name.split("_", 1)
        found[mode][task] = chain
    return found


def test_as_shipped_nobody_is_asked() -> None:
    table = load_models(CONFIGS / "models.yaml")
    assert table.providers == {}
    modes: tuple[Mode, ...] = ("eco", "fast")
    for mode in modes:
        for task in TASKS:
            assert table.chain(mode, task, "dada") == ONLY_BUILTIN


def test_what_is_commented_out_in_the_shipped_file_is_right_when_it_is_not() -> None:
    lines = (CONFIGS / "models.yaml").read_text().splitlines()
    shown = [line[1:] if line.startswith("#  ") else line for line in lines]
    text = "\n".join(line for line in shown if line not in ("providers: {}", "recipes: {}"))
    text = text.replace("  ollama:  ", "providers:\n  ollama:  ").replace(
        "  dada:", "recipes:\n  dada:"
    )
    document = yaml.safe_load(text)
    assert set(document["providers"]) == {
        "ollama",
        "llamacpp",
        "mistral",
        "openrouter",
        "anthropic",
    }
    assert document["recipes"]["dada"]["fast"] == ["anthropic/claude-haiku-4-5", "builtin"]


def test_a_chain_is_found_by_mode_and_task_and_a_recipes_own_comes_first(tmp_path: Path) -> None:
    table = load_models(
        written(
            tmp_path,
            providers={"ollama": OLLAMA, "far": REMOTE},
            modes=modes(
                eco_interception=["ollama/llama3.2:3b", "builtin"],
                fast_interception=["far/mistralai/mistral-small", "ollama/llama3.2:3b"],
            ),
            recipes={"dada": {"fast": ["ollama/qwen3"]}},
        )
    )
    local = ModelRef("ollama", "llama3.2:3b")
    assert table.chain("eco", "interception", "bauhaus") == (local, ModelRef("builtin"))
    assert table.chain("fast", "interception", "bauhaus") == (
        ModelRef("far", "mistralai/mistral-small"),
        local,
    )
    assert table.chain("fast", "interception", "dada") == (ModelRef("ollama", "qwen3"),)
    assert table.chain("eco", "interception", "dada") == (local, ModelRef("builtin"))
    # A recipe's own is for its passes, not for the translation before them.
    assert table.chain("fast", "translation", "dada") == ONLY_BUILTIN
    assert table.models_of("ollama") == ("llama3.2:3b", "qwen3")
    assert table.longest_seconds == 240


def test_the_provider_of_the_settings_writes_where_the_table_says_nothing(tmp_path: Path) -> None:
    table = load_models(
        written(
            tmp_path,
            providers={"ollama": OLLAMA},
            modes=modes(eco_translation=["ollama/qwen3"]),
        )
    ).with_provider(ProviderSpec("openai", "openai", "http://127.0.0.1:8080/v1"), "small")
    assert table.chain("fast", "interception", "dada") == (ModelRef("openai", "small"),)
    assert table.chain("eco", "translation", "translation_en") == (ModelRef("ollama", "qwen3"),)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"providers": {"ollama": {**OLLAMA, "colour": 1}}}, "providers.ollama.colour"),
        ({"providers": {"ollama": {**OLLAMA, "concurrency": 0}}}, "providers.ollama.concurrency"),
        ({"providers": {"ollama": {**OLLAMA, "protocol": "soap"}}}, "providers.ollama.protocol"),
        (
            {"providers": {"x": {**OLLAMA, "base_url": "http://a.example"}}},
            "providers.x.base_url",
        ),
        ({"providers": {"x": {**OLLAMA, "key_env": "sk-secret"}}}, "providers.x.key_env"),
        ({"providers": {"x": {**OLLAMA, "key_env": "A_KEY", "key_file": "/k"}}}, "providers.x"),
        ({"providers": {"x": {**REMOTE, "keep_alive": "5m"}}}, "providers.x"),
        ({"providers": {"x": {**OLLAMA, "keep_alive": "soon"}}}, "providers.x.keep_alive"),
        ({"providers": {"x": {**OLLAMA, "omit": ["everything"]}}}, "providers.x.omit.0"),
        ({"providers": {"builtin": OLLAMA}}, "providers.builtin"),
        ({"modes": {"eco": {}, "fast": {}}}, "modes.eco.interception"),
        ({"modes": modes(eco_interception=[])}, "modes.eco.interception"),
        ({"modes": modes(eco_interception=["ollama"])}, "modes.eco.interception.0"),
        ({"modes": modes(eco_interception=["ollama/x"])}, "modes.eco.interception.0"),
        ({"modes": modes(eco_interception=["builtin", "builtin"])}, "modes.eco.interception.0"),
        (
            {"providers": {"far": REMOTE}, "modes": modes(eco_translation=["far/x"])},
            "modes.eco.translation.0",
        ),
        (
            {
                "providers": {"p": {**OLLAMA, "proxy": "http://p:1"}},
                "recipes": {"a": {"eco": ["p/x"]}},
            },
            "recipes.a.eco.0",
        ),
        (
            {
                "providers": {
                    "a": {**OLLAMA, "total_seconds": 500},
                    "b": {**OLLAMA, "total_seconds": 500},
                },
                "modes": modes(fast_media_prompt=["a/x", "b/x"]),
            },
            "modes.fast.media_prompt",
        ),
    ],
)  # fmt: skip
def test_a_defect_is_told_with_file_field_and_reason(
    tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_models(written(tmp_path, **changes))
    assert (caught.value.defects[0].file, caught.value.defects[0].field) == ("models.yaml", field)
    assert caught.value.defects[0].reason


def spec(**changes: str) -> ProviderSpec:
    return ProviderSpec("far", "anthropic", "https://models.example", **changes)  # type: ignore[arg-type]


async def test_a_key_comes_from_the_environment_or_a_file_and_is_never_shown(
    tmp_path: Path,
) -> None:
    (tmp_path / "key").write_text("sk-geheim\n")
    for described, environ in (
        (spec(key_env="FAR_KEY"), {"FAR_KEY": " sk-geheim "}),
        (spec(key_file=str(tmp_path / "key")), {}),
    ):
        provider = connect(described, environ)
        assert not isinstance(provider, Keyless)
        assert vars(provider.chat)["_server"].api_key == "sk-geheim"
        assert "geheim" not in repr(vars(provider.chat)["_server"])
        await provider.chat.aclose()


@pytest.mark.parametrize("content", ["", " \n", "a" * 20_000, "ключ", "two\nlines"])
def test_a_missing_or_impossible_key_makes_a_provider_unusable_and_is_not_quoted(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "key").write_text(content)
    for described, environ in (
        (spec(key_env="FAR_KEY"), {"FAR_KEY": content if len(content) < 100 else ""}),
        (spec(key_file=str(tmp_path / "key")), {}),
        (spec(key_file=str(tmp_path / "none")), {}),
    ):
        found = connect(described, environ)
        assert isinstance(found, Keyless)
        assert found.reason.startswith("no key: ")
        assert not content.strip() or content.strip() not in found.reason
