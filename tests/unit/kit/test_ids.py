"""Names a client may send, and the many it may not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.errors import InvalidArgument
from services.kit.ids import (
    EntityName,
    RunId,
    UploadName,
    parse_config_name,
    parse_pseudonym,
    parse_sequence,
)

GOOD = "528e5af9-59b3-4551-b101-27e13dd6e43e"

NOT_RUN_IDS = [
    "",
    ".",
    "..",
    "*",
    ".trash",
    ".uploads",
    "metadata.json",
    GOOD.upper(),
    GOOD.replace("-", ""),
    "{" + GOOD + "}",
    "urn:uuid:" + GOOD,
    GOOD + "\n",
    "\u202e" + GOOD,
    GOOD + "\x00",
    "../../etc/passwd",
    "$(id)",
    GOOD.replace("5", "\uff15"),  # full-width digit
    GOOD[:-1] + "\u0661",  # Arabic digit
    "x" * 1_000_000,
]


@pytest.mark.parametrize("text", NOT_RUN_IDS)
def test_only_the_canonical_form_is_a_run_id(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        RunId.parse(text, "run_id")
    assert caught.value.reason == "INVALID_RUN_ID"
    assert caught.value.field == "run_id"
    with pytest.raises(InvalidArgument):
        RunId(text)


@pytest.mark.parametrize("text", ["run/x", "runs/", "runs/x/y", f"/runs/{GOOD}", f"runs/{GOOD}/"])
def test_other_forms_are_not_the_name_of_a_run(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        RunId.parse_name(text)
    assert (caught.value.reason, caught.value.field) == ("INVALID_NAME", "name")


def test_names_make_the_round_trip() -> None:
    run = RunId.parse_name(f"runs/{GOOD}")
    assert run.name == f"runs/{GOOD}"
    assert str(EntityName.parse(f"runs/{GOOD}/entities/12")) == f"runs/{GOOD}/entities/12"
    assert str(UploadName.parse(f"runs/{GOOD}/uploads/output-1")) == f"runs/{GOOD}/uploads/output-1"
    assert RunId.parse(str(RunId.new()))


@pytest.mark.parametrize("text", ["0", "-1", "01", "1e3", "\u0661", "1\n", "", "1234567"])
def test_a_sequence_is_a_positive_number_in_ascii(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_sequence(text)


@pytest.mark.parametrize("text", ["", "Dada", "a-b", "a/b", "../x", "a" * 65, "ä", "a\n"])
def test_a_config_name_is_plain(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_config_name(text)


@pytest.mark.parametrize("text", ["", "anna@schule.example", "Anna Müller", "a" * 65, "a_b"])
def test_a_pseudonym_is_never_a_name_or_an_address(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_pseudonym(text)


@given(st.text(max_size=80))
def test_no_text_that_parses_can_leave_a_folder(text: str) -> None:
    parsers: list[Callable[[str], str]] = [
        lambda text: RunId.parse(text).value,
        lambda text: UploadName.parse(f"runs/{GOOD}/uploads/{text}").upload_id,
        parse_config_name,
    ]
    for parse in parsers:
        try:
            value = parse(text)
        except InvalidArgument:
            continue
        assert value == text
        assert "/" not in value
        assert "." not in value
        assert value.isascii()
