"""The recorder as a process: the parts list."""

from __future__ import annotations

import logging

from services.kit.clock import SystemClock, boot_seconds
from services.kit.log import facts
from services.kit.memory import keep_freed_memory
from services.kit.program import Program, run_program
from services.kit.server import GrpcServer
from services.recorder.care import CareLimits
from services.recorder.index.sqlite import SqliteIndex
from services.recorder.recorder import Recorder
from services.recorder.retention import RetentionLimits
from services.recorder.scrubber import ScrubLimits
from services.recorder.servicer import CAPS, register
from services.recorder.settings import RecorderSettings
from services.recorder.store.disk import DiskStore
from services.recorder.store.layout import index_file, tracker_file
from services.recorder.sweeper import sweep_forever
from services.recorder.tracker.choice import tracker_of
from services.recorder.tracker.feed import Feed
from services.recorder.upload import UploadLimits

log = logging.getLogger(__name__)


async def compose(settings: RecorderSettings, program: Program) -> None:
    """Put the recorder together and serve until a signal."""
    keep_freed_memory()
    root = settings.root.absolute()
    tracker = tracker_of(settings.tracker.get_secret_value(), tracker_file(root))
    feed = Feed(tracker) if tracker else None
    recorder = Recorder(
        DiskStore(root, settings.tombstones, reserve_bytes=settings.reserve_bytes),
        SqliteIndex(index_file(root)),
        SystemClock(),
        UploadLimits(
            max_entity_bytes=settings.max_entity_bytes,
            uploads_per_run=settings.uploads_per_run,
            ttl_seconds=settings.upload_ttl_seconds,
        ),
        settings.run_limit_seconds,
        [feed] if feed else [],
        max_import_bytes=settings.max_import_bytes,
        care=CareLimits(
            ScrubLimits(settings.scrub_bytes_per_second, settings.scrub_interval_seconds),
            RetentionLimits(settings.retention_days, settings.retention_interval_seconds),
            boot_seconds,
        ),
    )
    await recorder.open()
    program.stack.push_async_callback(recorder.close)
    if feed:
        program.stack.push_async_callback(feed.close)
        program.add_task(feed.follow(recorder), "tracker")
    log.info("runs live here", extra=facts(root=str(root)))
    program.add_task(sweep_forever(recorder), "sweeper")
    for name, work in recorder.care.tasks().items():
        program.add_task(work, name)
    program.on_drain(recorder.drain)
    server = GrpcServer(program.service, caps=CAPS)
    register(recorder, server.grpc)
    await program.serve(server, settings.host, settings.port)


if __name__ == "__main__":
    run_program("recorder", RecorderSettings, compose)
