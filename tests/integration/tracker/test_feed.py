"""The tracker agrees with the record: while all is well, at each start, and after real outages."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from services.kit.ids import RunId
from services.recorder.domain.vocabulary import RunState
from services.recorder.tracker import feed as feed_module
from tests.integration.tracker.rig import Rig, rig_of
from tests.support.eventually import eventually
from tests.support.postgres import (
    address_of,
    admin,
    create,
    cut_connections,
    drop,
    needs_postgres,
    new_name,
)
from tests.support.tcp_proxy import TcpProxy


@pytest.fixture
async def rig(setting: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """A recorder with each kind of database."""
    async with rig_of(tmp_path / "runs", setting) as rig:
        yield rig


@pytest.fixture
async def proxy(postgres: str) -> AsyncIterator[TcpProxy]:
    """A way to PostgreSQL that can be cut."""
    url = sa.make_url(postgres)
    assert url.host is not None
    async with TcpProxy(url.host, url.port or 5432) as proxy:
        yield proxy


@pytest.fixture
async def remote(postgres: str, proxy: TcpProxy, tmp_path: Path) -> AsyncIterator[Rig]:
    """A recorder whose tracker is behind the proxy."""
    database = sa.make_url(postgres).database
    assert database is not None
    through = address_of(database, host="127.0.0.1", port=proxy.port)
    async with rig_of(tmp_path / "runs", through, seen=postgres) as rig:
        yield rig


@contextmanager
def changed_runs(monkeypatch: pytest.MonkeyPatch, most: int) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(feed_module, "MAX_CHANGED_RUNS", most)
        yield


def conditions(caplog: pytest.LogCaptureFixture) -> list[str]:
    wanted = ("tracker is open", "tracker is down", "tracker is back")
    return [one.getMessage() for one in caplog.records if one.getMessage() in wanted]


async def test_rows_follow_a_run_from_its_beginning_to_its_end(rig: Rig) -> None:
    run_id = await rig.begin()
    await rig.caught_up()
    assert (await rig.rows())[run_id].status is RunState.RUNNING
    await rig.go_on(run_id)
    await rig.caught_up()
    await rig.end(run_id)
    await rig.caught_up()
    [row] = (await rig.rows()).values()
    assert (row.status, len(row.steps), row.execution_time_ms) == (RunState.SUCCEEDED, 3, 2000)


async def test_a_run_that_is_deleted_takes_its_rows_along(rig: Rig) -> None:
    gone, kept = await rig.whole(), await rig.whole(well=False)
    await rig.caught_up()
    await rig.delete(gone)
    await rig.caught_up()
    assert set(await rig.rows()) == {kept}


async def test_what_happened_without_a_tracker_is_there_afterwards(rig: Rig) -> None:
    gone, changed, kept = await rig.whole(), await rig.begin(), await rig.whole()
    await rig.caught_up()
    await rig.stop()
    await rig.start(tracked=False)
    await rig.delete(gone)
    await rig.go_on(changed)
    made = await rig.whole(well=False)
    await rig.stop()
    await rig.start()
    await rig.caught_up()
    assert set(await rig.rows()) == {changed, kept, made}


async def test_a_stop_writes_what_is_known_by_then(rig: Rig) -> None:
    await rig.caught_up()
    for _ in range(3):
        await rig.whole()
    await rig.stop()
    await rig.start(tracked=False)
    assert await rig.agree()


async def test_rows_made_by_older_rules_are_made_again(setting: str, tmp_path: Path) -> None:
    async with rig_of(tmp_path / "runs", setting) as rig:
        await rig.whole()
        await rig.caught_up()
        await rig.stop()
        url = f"sqlite:///{tmp_path / 'executions.sqlite'}"
        if setting != "sqlite":
            url = setting.replace("postgresql:", "postgresql+psycopg:")
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE run_executions SET projection = 0, status = 'failed'")
            )
        engine.dispose()
        await rig.start()
        await rig.caught_up()


async def test_a_damaged_run_keeps_the_rows_it_has(rig: Rig) -> None:
    damaged = await rig.whole()
    await rig.caught_up()
    row = (await rig.rows())[damaged]
    await rig.stop()
    (rig.root / str(damaged) / "metadata.json").write_bytes(b"{}")
    await rig.start()
    other = await rig.whole()
    await eventually(lambda: other_is_there(rig, other), 10, "the rows of the other run")
    assert (await rig.rows())[damaged] == row


async def other_is_there(rig: Rig, run_id: RunId) -> bool:
    found = (await rig.rows()).get(run_id)
    return found is not None and found.status is RunState.SUCCEEDED


async def test_a_run_that_the_disk_refuses_keeps_none_of_the_others_away(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    await rig.stop()
    await rig.start(tracked=False)
    refused = await rig.whole()

    def refusing(path: str, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        if path == refused.value:
            raise PermissionError(errno.EACCES, "not yours")
        return real(path, flags, *rest, dir_fd=dir_fd)

    await rig.stop()
    with monkeypatch.context() as patch:
        await rig.start()
        patch.setattr(os, "open", refusing)
        other = await rig.whole()

        async def is_tracked() -> bool:
            rows = await rig.rows()
            return other in rows and rows[other].status is RunState.SUCCEEDED

        await eventually(is_tracked)
    await rig.caught_up()


async def test_more_changes_than_are_remembered_are_found_by_comparing(
    remote: Rig, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await remote.whole()
    await remote.caught_up()
    with changed_runs(monkeypatch, 2):
        await proxy.close()
        await asyncio.gather(*(remote.whole() for _ in range(8)))
        await remote.delete(first)
        assert remote.feed is not None
        await proxy.open()
        await remote.caught_up()
    assert len(await remote.rows()) == 8


# Outages


async def test_connections_that_are_cut_lose_nothing(remote: Rig, postgres: str) -> None:
    runs = [await remote.begin() for _ in range(3)]
    await remote.caught_up()
    for run_id in runs:
        # One at a time; the one that was cut before may still be on its way out.
        assert await asyncio.to_thread(cut_connections, postgres) <= 2
        await remote.go_on(run_id)
        await asyncio.to_thread(cut_connections, postgres)
        await remote.end(run_id)
        await remote.caught_up()


async def test_connections_cut_again_and_again_lose_nothing(remote: Rig, postgres: str) -> None:
    is_over = False

    async def cut() -> None:
        while not is_over:
            await asyncio.to_thread(cut_connections, postgres)
            await asyncio.sleep(0.02)

    cutting = asyncio.create_task(cut())
    gone = [await remote.whole() for _ in range(10)][::3]
    for run_id in gone:
        await remote.delete(run_id)
    is_over = True
    await cutting
    await remote.caught_up()
    assert len(await remote.rows()) == 6


async def test_while_nothing_listens_recording_goes_on_and_is_caught_up(
    remote: Rig, proxy: TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gone, open_run = await remote.whole(), await remote.begin()
    await remote.caught_up()
    await eventually(lambda: conditions(caplog) == ["tracker is open"], 10, "the word of it")
    await proxy.close()
    await remote.delete(gone)
    await remote.go_on(open_run)
    made = [await remote.whole(), await remote.whole(well=False)]
    await eventually(lambda: "tracker is down" in conditions(caplog), 10, "the word of it")
    assert set(await remote.rows()) == {gone, open_run}
    await proxy.open()
    await remote.caught_up()
    assert set(await remote.rows()) == {open_run, *made}
    await eventually(lambda: conditions(caplog)[-1] == "tracker is back", 10, "the word of it")
    assert conditions(caplog) == ["tracker is open", "tracker is down", "tracker is back"]


async def test_commits_go_on_while_the_database_is_frozen(remote: Rig, proxy: TcpProxy) -> None:
    open_run = await remote.begin()
    await remote.caught_up()
    proxy.freeze()
    before = proxy.accepted
    made = [await remote.whole() for _ in range(5)]
    await remote.go_on(open_run)
    # It has given up and tried anew meanwhile, in vain, and still nothing waits for it.
    await eventually(lambda: proxy.accepted > before, 20, "another attempt")
    made += [await remote.whole() for _ in range(5)]
    assert set(await remote.rows()) == {open_run}
    assert len(await remote.recorded()) == 11
    proxy.thaw()
    await remote.caught_up()
    assert set(await remote.rows()) == {open_run, *made}


async def test_a_recorder_stops_in_time_while_the_database_is_frozen(
    remote: Rig, proxy: TcpProxy
) -> None:
    await remote.caught_up()
    proxy.freeze()
    await remote.whole()
    async with asyncio.timeout(8):
        await remote.stop()
    proxy.thaw()
    await remote.start()
    await remote.caught_up()


async def test_a_write_that_arrives_late_does_not_bring_a_deleted_run_back(
    remote: Rig, proxy: TcpProxy
) -> None:
    await remote.whole()
    await remote.caught_up()
    proxy.hold_at(b"COMMIT")
    late = await remote.begin()
    await eventually(lambda: proxy.is_holding, 10, "the rows on their way")
    await remote.delete(late)
    other, attempts = await remote.whole(), proxy.accepted

    async def is_tried_anew() -> bool:
        # In vain, as long as the first write may still arrive, or else with success.
        return proxy.accepted > attempts + 1 or other in await remote.rows()

    await eventually(is_tried_anew, 20, "another attempt")
    await proxy.release()
    await remote.caught_up()
    # Nor later.
    await remote.whole()
    await remote.caught_up()
    assert late not in await remote.rows()


async def test_a_deletion_during_an_outage_outlives_the_recorder_that_heard_of_it(
    remote: Rig, proxy: TcpProxy
) -> None:
    gone, kept = await remote.whole(), await remote.whole()
    await remote.caught_up()
    await proxy.close()
    await remote.delete(gone)
    await remote.stop()
    await proxy.open()
    await remote.start()
    await remote.caught_up()
    assert set(await remote.rows()) == {kept}


async def test_a_database_that_is_missing_at_start_is_filled_once_it_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    needs_postgres()
    caplog.set_level(logging.INFO)
    name = new_name()
    try:
        async with rig_of(tmp_path / "runs", address_of(name)) as rig:
            made = [await rig.whole(), await rig.begin()]
            await eventually(lambda: bool(conditions(caplog)), 10, "a word of it")
            assert conditions(caplog) == ["tracker is down"]
            await asyncio.to_thread(create, name)
            await rig.caught_up()
            assert set(await rig.rows()) == set(made)
    finally:
        await asyncio.to_thread(drop, name)


async def test_a_database_that_was_lost_is_filled_anew(remote: Rig, postgres: str) -> None:
    old = [await remote.whole() for _ in range(3)]
    await remote.caught_up()
    name = str(sa.make_url(postgres).database)
    await asyncio.to_thread(drop, name)
    new = await remote.whole()
    await asyncio.to_thread(create, name)
    await remote.whole()
    await remote.caught_up()
    assert {*old, new} < set(await remote.rows())


async def test_a_run_the_database_does_not_take_keeps_none_of_the_others_away(
    remote: Rig, postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    refused = await remote.begin()
    await remote.caught_up()

    def forbid() -> None:
        with psycopg.connect(postgres) as connection:
            connection.execute(
                "ALTER TABLE run_executions ADD CHECK"
                f" (run_id <> '{refused}' OR status <> 'failed')"
            )

    await asyncio.to_thread(forbid)
    await remote.go_on(refused)
    await asyncio.gather(remote.end(refused, well=False), *(remote.whole() for _ in range(5)))

    async def others_agree() -> bool:
        rows, recorded = await remote.rows(), await remote.recorded()
        return {k: v for k, v in rows.items() if k != refused} == {
            k: v for k, v in recorded.items() if k != refused
        }

    await eventually(others_agree, 10, "the rows of the others")
    await eventually(lambda: "does not take a run" in caplog.text, 10, "a word of it")
    assert "tracker is down" not in conditions(caplog)


async def test_two_recorders_share_a_database_and_leave_each_others_rows_alone(
    postgres: str, tmp_path: Path
) -> None:
    async with (
        rig_of(tmp_path / "a" / "runs", postgres) as one,
        rig_of(tmp_path / "b" / "runs", postgres) as other,
    ):
        gone, _, _ = await one.whole(), await one.whole(), await other.whole()
        await one.caught_up()
        await other.caught_up()
        await one.delete(gone)
        await other.stop()
        await other.start()
        await one.caught_up()
        await other.caught_up()
        assert (len(await one.rows()), len(await other.rows())) == (1, 1)


async def test_the_password_is_never_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    needs_postgres()
    caplog.set_level(logging.DEBUG)
    server = sa.make_url(address_of("no_such_database", password="hunter2"))
    for url in (server, server.set(host="no-such-host.invalid"), server.set(port=1)):
        setting = url.render_as_string(hide_password=False)
        async with rig_of(tmp_path / f"runs-{url.port}-{url.host}", setting):
            caplog.clear()
            await eventually(lambda: bool(conditions(caplog)), 20, "a word of the failure")
    assert "hunter2" not in caplog.text
    assert all("hunter2" not in str(one.__dict__) for one in caplog.records)


async def test_a_role_that_may_not_log_in_is_a_tracker_that_is_down(
    tmp_path: Path, postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    role = new_name()
    with admin() as connection:
        connection.execute(f'CREATE ROLE "{role}" NOLOGIN')
    try:
        database = str(sa.make_url(postgres).database)
        async with rig_of(tmp_path / "runs", address_of(database, username=role)) as rig:
            await rig.whole()
            await eventually(lambda: conditions(caplog) == ["tracker is down"], 10, "a word of it")
            with admin() as connection:
                connection.execute(f'ALTER ROLE "{role}" LOGIN SUPERUSER')
            await rig.caught_up()
    finally:
        with admin(postgres) as connection:
            connection.execute(f'DROP OWNED BY "{role}"')
            connection.execute(f'DROP ROLE "{role}"')
