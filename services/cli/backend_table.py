"""The backends of the media service and their instances: as a table, as lines, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from artlab.media.v1 import media_pb2
from services.cli.domain.printable import printable
from services.cli.rows import format_size
from services.kit.enums import word_of

_FIELDS = (
    "backend",
    "instance",
    "state",
    "runs",
    "waits",
    "queue",
    "memory_free",
    "memory_total",
    "version",
    "remarks",
)
_STYLES = {"available": "green", "ready": "green", "busy": "yellow", "draining": "magenta"}


def backend_table(backends: Sequence[media_pb2.Backend]) -> Table:
    """A row for each backend, and below it one for each of its instances."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("backend", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("runs", "waits", "queue"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("memory free", "version"):
        table.add_column(name, no_wrap=True)
    table.add_column("remarks", overflow="fold")
    for backend in backends:
        state = "available" if backend.available else "not available"
        # Its jobs run on its instances; what it counts itself waits for one of them.
        waits = str(backend.waiting) if backend.instances else ""
        table.add_row(
            printable(backend.name), _state(state), "", waits, "", "", "", _text(backend.reason)
        )
        for instance in backend.instances:
            table.add_row(*_instance_row(instance))
    return table


def backend_lines(backends: Sequence[media_pb2.Backend]) -> Iterator[str]:
    """The same for programs: one line each, values between tabs, names in the first line.

    `instance` is empty in the line of a backend, and what a backend does not have is empty too.
    Sizes are bytes.
    """
    yield "\t".join(_FIELDS)
    for backend in backends:
        state = "available" if backend.available else "not_available"
        waits = str(backend.waiting) if backend.instances else ""
        yield _line(backend.name, "", state, "", waits, "", "", "", "", backend.reason)
        for instance in backend.instances:
            lacking = sorted(instance.unfit_configs.items())
            remarks = [instance.reason, *(f"{name}: {what}" for name, what in lacking)]
            total = instance.vram_total_bytes
            yield _line(
                backend.name,
                instance.url,
                word_of(media_pb2.InstanceState, instance.state),
                str(instance.running),
                str(instance.waiting),
                str(instance.queue_length),
                str(instance.vram_free_bytes) if total else "",
                str(total) if total else "",
                instance.version,
                "; ".join(filter(None, remarks)),
            )


def _line(*values: str) -> str:
    # A tab or the end of a line inside of a value would begin another one.
    return "\t".join(" ".join(printable(value).split()) for value in values)


def backends_as_json(backends: Sequence[media_pb2.Backend]) -> dict[str, object]:
    """What `artlab backends --json` prints: the fields of ListBackends, states as words."""
    return {
        "backends": [
            {
                "name": backend.name,
                "available": backend.available,
                "reason": backend.reason,
                "waiting": backend.waiting,
                "instances": [instance_as_json(instance) for instance in backend.instances],
            }
            for backend in backends
        ]
    }


def instance_as_json(instance: media_pb2.Instance) -> dict[str, object]:
    """One instance of it."""
    return {
        "url": instance.url,
        "state": word_of(media_pb2.InstanceState, instance.state),
        "reason": instance.reason,
        "running": instance.running,
        "waiting": instance.waiting,
        "queue_length": instance.queue_length,
        "version": instance.version,
        "vram_total_bytes": instance.vram_total_bytes,
        "vram_free_bytes": instance.vram_free_bytes,
        "unfit_configs": dict(sorted(instance.unfit_configs.items())),
    }


def _instance_row(instance: media_pb2.Instance) -> tuple[str | Text, ...]:
    lacking = sorted(instance.unfit_configs.items())
    remarks = [instance.reason, *(f"{name}: {what}" for name, what in lacking)]
    memory = ""
    if instance.vram_total_bytes:
        memory = f"{format_size(instance.vram_free_bytes)} of "
        memory += format_size(instance.vram_total_bytes)
    return (
        _text(f"  {instance.url}"),
        _state(word_of(media_pb2.InstanceState, instance.state)),
        str(instance.running),
        str(instance.waiting),
        str(instance.queue_length),
        memory,
        _text(instance.version),
        _text("\n".join(filter(None, remarks))),
    )


def _state(word: str) -> Text:
    return Text(word, style=_STYLES.get(word, "red"))


def _text(text: str) -> Text:
    # Not as markup: addresses of IPv6 have brackets.
    return Text(printable(text))
