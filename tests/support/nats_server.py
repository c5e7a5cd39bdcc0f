"""A NATS server of a test's own, as `artlab up` starts one."""

from __future__ import annotations

from pathlib import Path

from services.cli.replicas import CONFIG, find_nats


def nats_command(host: str, port: int, store: Path) -> tuple[str, ...]:
    """What starts it there, with what it keeps in this folder. Raises NatsMissing."""
    return (
        *(str(find_nats()), "--config", str(CONFIG)),
        *("--addr", host, "--port", str(port), "--store_dir", str(store)),
    )
