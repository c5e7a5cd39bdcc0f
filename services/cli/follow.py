"""Starts a run, follows it to its end, and cancels it when the person does not want it any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import orjson

from services.cli.domain.result import RunResult, SeenEntity, summarize
from services.cli.domain.run_view import Event, RunView
from services.cli.gateway_client import GatewayClient, GatewayError, GatewayRefused
from services.cli.interrupts import Interrupted, Interrupts
from services.cli.screen import Screen

# Larger texts are for files, not for a terminal.
MAX_SHOWN_BYTES = 128 * 1024
_TEXTS = frozenset({"translation", "interception_pass", "interception", "media_prompt"})
_DOCUMENTS = frozenset(
    {
        "safety",
        "safety_pre_output",
        "safety_output",
        "safety_image",
        "preview_safety",
        "explanation",
        "error",
    }
)


async def run_to_the_end(
    client: GatewayClient,
    request: Mapping[str, object],
    screen: Screen,
    wishes: Interrupts,
    images: Sequence[Path] = (),
) -> RunResult:
    """Start a run, bring it its pictures, show it until it is final; return what came of it.

    When the person asks to stop, the run is cancelled and Interrupted is raised. Raises
    GatewayError when the gateway refuses the request or cannot be reached.
    """
    # Awaited whatever is asked meanwhile: a run whose id is not known cannot be cancelled.
    run_id = await client.start(request)
    try:
        await wishes.unless_asked(_bring(client, run_id, images))
        seen = await wishes.unless_asked(_follow(client, run_id, screen))
        document = await wishes.unless_asked(client.document(run_id))
    except Interrupted:
        screen.note(f"cancelling run {run_id}")
        try:
            await client.cancel(run_id)
        except GatewayError as error:
            screen.note(f"it may still go on: {error}")
        raise
    return summarize(run_id, document, seen, lambda sequence: client.entity_url(run_id, sequence))


async def _bring(client: GatewayClient, run_id: str, images: Sequence[Path]) -> None:
    for index, image in enumerate(images, start=1):
        try:
            status = await client.put_image(run_id, index, image)
        except GatewayError:
            # It would wait for a picture that does not come.
            await client.cancel(run_id)
            raise
        if status == "blocked":
            return


async def _follow(client: GatewayClient, run_id: str, screen: Screen) -> list[SeenEntity]:
    view, seen = RunView(), list[SeenEntity]()
    with screen:
        screen.note(f"run {run_id}")
        async with aclosing(client.events(run_id)) as events:
            async for event in events:
                view.apply(event)
                screen.show(view, event)
                # What is not for us has no type.
                if event.kind == "entity_committed" and event.text("type"):
                    entity = await _read(client, run_id, event)
                    seen.append(entity)
                    screen.committed(entity)
    return seen


async def _read(client: GatewayClient, run_id: str, event: Event) -> SeenEntity:
    kind, sequence, size = event.text("type"), event.number("sequence"), event.number("size_bytes")
    content = ""
    if kind in _TEXTS | _DOCUMENTS and size <= MAX_SHOWN_BYTES:
        try:
            content = (await client.entity(run_id, sequence)).decode("utf-8", "replace")
        except GatewayRefused:
            # Not everybody may see every entity; the run's own error tells the rest.
            content = ""
    document = _document(content) if kind in _DOCUMENTS else None
    return SeenEntity(
        sequence=sequence,
        type=kind,
        filename=event.text("filename"),
        media_type=event.text("media_type"),
        size_bytes=size,
        output_index=event.number("output_index"),
        pass_number=event.number("pass"),
        content=content if document is None else "",
        document=document,
    )


def _document(content: str) -> dict[str, object] | None:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
