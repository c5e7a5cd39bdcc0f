"""A PostgreSQL database of a test's own, on the server that runs on this machine.

``TEST_POSTGRES_URL`` names another server; the role must be allowed to make databases.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

SERVER = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
CONNECT_SECONDS = 3


def admin(url: str = SERVER) -> psycopg.Connection[tuple[object, ...]]:
    """A connection in which every statement counts at once."""
    return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)


@cache
def _why_not() -> str:
    try:
        admin().close()
    except psycopg.OperationalError as error:
        return str(error).splitlines()[0]
    return ""


def needs_postgres() -> None:
    """Skip the test where no server answers."""
    if why := _why_not():
        pytest.skip(
            f"no PostgreSQL ({why}): apt install postgresql, start it, or set TEST_POSTGRES_URL"
        )


def address_of(database: str, **at: object) -> str:
    """The address of a database on the server; `at` may say another host or port."""
    url = sa.make_url(SERVER).set(database=database, **at)  # type: ignore[arg-type]
    return url.render_as_string(hide_password=False)


def create(database: str) -> None:
    """Make an empty database."""
    with admin() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))


def drop(database: str) -> None:
    """Remove a database, whoever is still connected to it."""
    with admin() as connection:
        name = sql.Identifier(database)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def new_name() -> str:
    """A name no other test has."""
    return f"artlab_test_{secrets.token_hex(6)}"


@contextmanager
def database() -> Iterator[str]:
    """An empty database; yields its address."""
    needs_postgres()
    name = new_name()
    create(name)
    try:
        yield address_of(name)
    finally:
        drop(name)


def cut_connections(url: str) -> int:
    """End every connection of a recorder to this database at the server; return how many."""
    with admin(url) as connection:
        found = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'artlab-recorder'"
        ).fetchone()
    assert found is not None
    return int(str(found[0]))
