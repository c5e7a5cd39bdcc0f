"""Starts a run, follows it to its end, and cancels it when the person does not want it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import orjson

from services.cli.asking import Asker, Later
from services.cli.domain.result import RunResult, SeenEntity, summarize
from services.cli.domain.run_view import QUEUE, Event, RunView
from services.cli.gateway_client import GatewayClient, GatewayError, GatewayRefused
from services.cli.interrupts import Interrupted, Interrupts
from services.cli.questions import Questions
from services.cli.screen import Screen

# Larger texts are for files, not for a terminal.
MAX_SHOWN_BYTES = 128 * 1024
# A run that begins at once is not asked for its place.
QUEUE_SECONDS = 1.0
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
        "question",
        "decision",
    }
)


async def run_to_the_end(
    client: GatewayClient,
    request: Mapping[str, object],
    screen: Screen,
    wishes: Interrupts,
    images: Sequence[Path] = (),
    asker: Asker | None = None,
) -> RunResult:
    """Start a run, bring it its pictures, show it until it is final; return what came of it.

    A question of the run goes to `asker`. When the person asks to stop, the run is cancelled and
    Interrupted is raised. Raises GatewayError when the gateway refuses the request or cannot be
    reached.
    """
    # Awaited whatever is asked meanwhile: a run whose id is not known cannot be cancelled.
    run_id = await client.start(request)
    try:
        await wishes.unless_asked(_bring(client, run_id, images))
        asking = Questions(
            client, run_id, screen, asker or Later(), str(request.get("user_id", ""))
        )
        seen = await wishes.unless_asked(_follow(client, run_id, screen, asking))
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


async def _follow(
    client: GatewayClient, run_id: str, screen: Screen, asking: Questions
) -> list[SeenEntity]:
    view, seen = RunView(), list[SeenEntity]()
    with screen:
        screen.note(f"run {run_id}")
        in_line = asyncio.create_task(_watch_queue(client, run_id, view, screen))
        try:
            async with aclosing(client.events(run_id)) as events:
                async for event in events:
                    view.apply(event)
                    screen.show(view, event)
                    await asking.stop(view.open_questions)
                    # What is not for us has no type.
                    if event.kind == "entity_committed" and event.text("type"):
                        entity = await _read(client, run_id, event)
                        seen.append(entity)
                        screen.committed(entity)
                        if entity.type == "question":
                            asking.ask(entity)
        finally:
            in_line.cancel()
            await asyncio.gather(in_line, return_exceptions=True)
            await asking.stop()
    return seen


async def _watch_queue(client: GatewayClient, run_id: str, view: RunView, screen: Screen) -> None:
    """Show where the run stands in line until it begins."""
    while True:
        await asyncio.sleep(QUEUE_SECONDS)
        if view.has_begun:
            return
        try:
            place = Event(QUEUE, await client.queue(run_id))
        except GatewayError:
            # Nobody knows just now; whether the run goes on is told by its events.
            continue
        if not view.has_begun:
            view.apply(place)
            screen.show(view, place)


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
