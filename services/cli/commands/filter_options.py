"""The options that choose runs: by name, or by what they are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any

import click

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.enums import value_of
from services.kit.errors import InvalidArgument
from services.kit.ids import RunId, parse_config_name, parse_pseudonym

STATES = ("succeeded", "partial", "blocked", "failed", "cancelled")
LEVELS = ("kids", "youth", "adult", "research")
KINDS = ("text", "image", "audio", "music", "video", "code")


@dataclass(frozen=True, slots=True)
class ChosenRuns:
    """Runs by name, or a filter; one of the two is empty."""

    names: tuple[str, ...]
    filter: pb.RunFilter | None


class _Run(click.ParamType[str]):
    name = "run"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            # The last part of a folder's path is the id.
            return RunId.parse(PurePath(str(value)).name).name
        except InvalidArgument:
            self.fail("expected the id of a run, or its folder", param, ctx)


class _Day(click.ParamType[datetime]):
    """A day, or a moment; `ends` takes the whole day in."""

    name = "date"

    def __init__(self, *, ends: bool = False) -> None:
        self._ends = ends

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value))
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            is_day = len(str(value)) == len("2026-01-31")
            return moment + timedelta(days=1) if is_day and self._ends else moment
        except (ValueError, OverflowError):
            self.fail("expected a date such as 2026-01-31, or 2026-01-31T12:00", param, ctx)


class _Parsed(click.ParamType[str]):
    def __init__(self, name: str, parse: Callable[[str], str]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return self._parse(str(value))
        except InvalidArgument as error:
            self.fail(error.message, param, ctx)


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add RUN... and the options of a filter to a command; it gets them as one `chosen`."""

    @click.argument("runs", nargs=-1, type=_Run(), metavar="[RUN]...")
    @click.option("--all", "everything", is_flag=True, help="Every run that has ended.")
    @click.option(
        "--config",
        "configs",
        multiple=True,
        type=_Parsed("name", parse_config_name),
        help="Runs of this recipe; repeat it for several.",
    )
    @click.option(
        "--state", "states", multiple=True, type=click.Choice(STATES), help="Runs that ended so."
    )
    @click.option(
        "--level", "levels", multiple=True, type=click.Choice(LEVELS), help="Runs at this level."
    )
    @click.option(
        "--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Runs that asked for this."
    )
    @click.option("--user", type=_Parsed("pseudonym", parse_pseudonym), help="Runs of a pseudonym.")
    @click.option("--from", "first", type=_Day(), help="Begun on this day (UTC) or later.")
    @click.option("--to", "last", type=_Day(ends=True), help="Begun on this day (UTC) or before.")
    @click.option("--text", help="Runs whose idea contains this.")
    @click.option("--favourites", is_flag=True, help="Favourites only.")
    @functools.wraps(command)
    def with_choice(
        runs: tuple[str, ...],
        everything: bool,
        configs: tuple[str, ...],
        states: tuple[str, ...],
        levels: tuple[str, ...],
        kinds: tuple[str, ...],
        user: str | None,
        first: datetime | None,
        last: datetime | None,
        text: str | None,
        favourites: bool,
        **others: Any,
    ) -> None:
        wanted = pb.RunFilter(
            user_id=user or "",
            config_names=configs,
            states=[value_of(run_pb2.RunState, word) for word in states],
            safety_levels=[value_of(common_pb2.SafetyLevel, word) for word in levels],
            kinds=[value_of(common_pb2.MediaKind, word) for word in kinds],
            text=text or "",
            favourites=favourites,
        )
        if first is not None:
            wanted.created_from.FromDatetime(first)
        if last is not None:
            wanted.created_before.FromDatetime(last)
        is_filter = everything or wanted != pb.RunFilter()
        if bool(runs) is is_filter:
            raise click.UsageError(
                "choose runs by their ids, or by options such as --config, or take --all"
                + ("; not both" if runs else "")
            )
        command(chosen=ChosenRuns(runs, wanted if is_filter else None), **others)

    return with_choice
