"""How much of a file has gone through, on a terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


async def transfer(
    pieces: AsyncIterator[bytes], name: str, total_bytes: int | None = None
) -> AsyncIterator[bytes]:
    """Yield the pieces, and show how far they are while they pass; nothing where nobody looks."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(name, total=total_bytes)
        async for data in pieces:
            yield data
            progress.advance(task, len(data))
