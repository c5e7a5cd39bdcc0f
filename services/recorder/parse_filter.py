"""Which runs a request means: every field checked, in proto order, with its path."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from artlab.recorder.v1 import recorder_pb2
from services.kit.enums import W, Words
from services.kit.errors import InvalidArgument
from services.kit.ids import parse_config_name, parse_pseudonym
from services.recorder.domain.filter import Filter
from services.recorder.domain.vocabulary import FINAL_RUN_STATES, RunState
from services.recorder.parse_values import parse_line, parse_time
from services.recorder.words import MEDIA_KINDS, RUN_STATES, SAFETY_LEVELS

MAX_WORDS = 50
MAX_SEARCH_CHARACTERS = 200

_RUN_STATES = FINAL_RUN_STATES | {RunState.PENDING, RunState.RUNNING}


def parse_filter(given: recorder_pb2.RunFilter, field: str = "filter") -> Filter:
    """Return the filter; a message with nothing set means all runs."""
    return Filter(
        user_id=parse_pseudonym(given.user_id, f"{field}.user_id") if given.user_id else "",
        config_names=_names(given.config_names, f"{field}.config_names"),
        states=_words(given.states, RUN_STATES, f"{field}.states", _RUN_STATES),
        safety_levels=_words(given.safety_levels, SAFETY_LEVELS, f"{field}.safety_levels"),
        created_from=_moment(given, "created_from", field),
        created_before=_moment(given, "created_before", field),
        kinds=_words(given.kinds, MEDIA_KINDS, f"{field}.kinds"),
        text=parse_line(given.text, f"{field}.text", MAX_SEARCH_CHARACTERS),
        favourites=given.favourites,
        output_configs=_names(given.output_configs, f"{field}.output_configs"),
    )


def _names(values: Sequence[str], field: str) -> frozenset[str]:
    return frozenset(
        parse_config_name(name, f"{field}[{place}]")
        for place, name in enumerate(_few(values, field))
    )


def _few(values: Sequence[Any], field: str) -> Sequence[Any]:
    if len(values) > MAX_WORDS:
        raise InvalidArgument("TOO_MANY", f"at most {MAX_WORDS}", field=field)
    return values


def _words(
    values: Sequence[int], words: Words[W], field: str, among: Collection[W] | None = None
) -> frozenset[W]:
    return frozenset(
        words.word(value, f"{field}[{place}]", among)
        for place, value in enumerate(_few(values, field))
    )


def _moment(given: recorder_pb2.RunFilter, name: str, field: str) -> datetime | None:
    if not given.HasField(name):  # type: ignore[arg-type]  # a literal type in the stubs
        return None
    stamp: Timestamp = getattr(given, name)
    moment = parse_time(stamp, f"{field}.{name}")
    # Runs are created at whole microseconds: between two of them begins the next one.
    if stamp.nanos % 1000 and moment < datetime.max.replace(tzinfo=UTC):
        moment += timedelta(microseconds=1)
    return moment
