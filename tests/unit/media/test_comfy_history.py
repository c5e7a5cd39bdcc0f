"""How a job ended, from the shapes ComfyUI's history has been seen to take."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.errors import FailedPrecondition
from services.media.comfy.history import OutputFile, files_of, parse_entry, texts_of


def entry(*messages: Any, status: str = "success", **changes: Any) -> dict[str, Any]:
    return {
        "prompt": [0, "id", {"4": {"class_type": "UNETLoader", "inputs": {"unet_name": "m"}}}],
        "outputs": {},
        "status": {"status_str": status, "completed": True, "messages": list(messages)},
        **changes,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(["filename", "subfolder", "type", "images", "9", "node_id", "messages"])
            | st.text(max_size=5),
            children,
            max_size=4,
        )
    ),
    max_leaves=12,
)
START = ["execution_start", {"prompt_id": "id"}]


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ("execution_success", "success"),
        ("execution_error", "error"),
        ("execution_interrupted", "interrupted"),
    ],
)
def test_the_last_message_decides_whatever_the_status_says(last: str, kind: str) -> None:
    for status in ("success", "error"):
        ending = parse_entry(entry(START, [last, {"node_id": "3"}], status=status))
        assert (ending.kind, ending.node, ending.model) == (kind, "3", "m")


def test_without_an_ending_among_the_messages_the_status_decides() -> None:
    assert parse_entry(entry(START, status="error")).kind == "error"


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        "text",
        {},
        entry(outputs=None),
        entry(outputs=[]),
        entry(status="strange"),
        {**entry(), "status": None},
    ],
)
def test_an_entry_of_another_shape_is_no_answer_of_comfyui(found: object) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        parse_entry(found)
    assert caught.value.reason == "COMFY_PROTOCOL"


@pytest.mark.parametrize("messages", [None, [], [1], [["x"]], [["execution_start", None]]])
def test_messages_of_another_shape_are_passed_over(messages: Any) -> None:
    found = entry()
    found["status"]["messages"] = messages
    assert parse_entry(found).kind == "success"


@pytest.mark.parametrize("inputs", [None, [], ["unet_name"], "unet_name"])
def test_a_node_whose_inputs_are_none_names_no_model(inputs: Any) -> None:
    graph = {"4": {"class_type": "UNETLoader", "inputs": inputs}}
    assert parse_entry(entry(prompt=[0, "id", graph])).model == ""


@pytest.mark.parametrize("left", [5, "a line", {"a": "line"}])
def test_texts_are_a_list_and_nothing_else(left: Any) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        texts_of({"9": {"text": left}}, "9")
    assert caught.value.reason == "COMFY_PROTOCOL"


def test_files_are_found_under_any_key_and_only_those_to_keep() -> None:
    outputs = {
        "9": {
            "animated": [True],
            "text": ["a line"],
            "gifs": [{"filename": "a.mp4", "subfolder": "x/y", "type": "output"}],
            "images": [
                {"filename": "t.png", "subfolder": "", "type": "temp"},
                {"filename": "b.png", "type": "output"},
            ],
        },
        "8": {"images": [{"filename": "other.png", "subfolder": "", "type": "output"}]},
    }
    assert files_of(outputs, "9") == [OutputFile("a.mp4", "x/y"), OutputFile("b.png", "")]
    assert files_of(outputs, "7") == []


@given(outputs=JSON, messages=JSON, prompt=JSON, status=JSON)
def test_whatever_json_comes_it_is_an_ending_or_a_typed_error(
    outputs: Any, messages: Any, prompt: Any, status: Any
) -> None:
    found = {
        "prompt": prompt,
        "outputs": outputs,
        "status": {"status_str": status, "messages": messages},
    }
    try:
        ending = parse_entry(found)
        files = files_of(ending.outputs, "9")
    except FailedPrecondition:
        return
    assert all("/" not in file.filename and ".." not in file.filename for file in files)


@given(item=JSON, name=st.text(max_size=30), folder=st.text(max_size=30))
def test_no_name_ever_leaves_the_output_folder(item: Any, name: str, folder: str) -> None:
    listed = [item, {"filename": name, "subfolder": folder, "type": "output"}]
    try:
        files = files_of({"9": {"images": listed}}, "9")
    except FailedPrecondition:
        return
    for file in files:
        assert ".." not in f"{file.subfolder}/{file.filename}"
        assert not file.subfolder.startswith(("/", "\\"))
        assert "/" not in file.filename
