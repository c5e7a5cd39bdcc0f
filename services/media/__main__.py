"""`python -m services.media`: the parts of the media service."""

from __future__ import annotations

from artlab.media.v1 import media_pb2_grpc
from services.kit.channel import open_channel, open_sync_channel
from services.kit.clock import SystemClock
from services.kit.memory import keep_freed_memory
from services.kit.program import Program, run_program
from services.kit.server import GrpcServer
from services.media.backend_list import BackendList
from services.media.backends.builtin.backend import BuiltinBackend
from services.media.catalogue import load_output_catalogue
from services.media.comfy import ComfyBackend
from services.media.comfy.address import parse_ollama
from services.media.comfy.etiquette import Etiquette
from services.media.comfy.journal import Journal
from services.media.comfy.sqlite_journal import SqliteJournal
from services.media.decoding.decoder import Decoder
from services.media.hosted_backends import hosted_backends
from services.media.inspection import Inspector
from services.media.jobs import Jobs
from services.media.pictures import MAX_AT_ONCE, Pictures
from services.media.ports import Backend
from services.media.recording import Recording
from services.media.servicer import CAPS, MediaServicer
from services.media.settings import MediaSettings
from services.media.spool import Spool


async def compose(settings: MediaSettings, program: Program) -> None:
    """Put the parts together and serve until a signal."""
    keep_freed_memory()
    clock = SystemClock()
    catalogue = load_output_catalogue(settings.configs)
    channel = await program.stack.enter_async_context(open_channel(settings.recorder_target))
    stream_channel = program.stack.enter_context(open_sync_channel(settings.recorder_target))
    # All that may be recorded at once may wait for it, and pictures that people bring.
    decoder = Decoder(settings.decoders, waiting=settings.max_jobs + MAX_AT_ONCE)
    await program.stack.enter_async_context(decoder)
    await decoder.load()
    # Whether files can be kept while they are looked at is told now, and not with the first.
    Spool(settings.spool).close()
    recording = Recording(
        channel,
        stream_channel,
        max_media_bytes=settings.max_media_bytes,
        max_streams=settings.max_jobs,
        inspector=Inspector(decoder, settings.spool),
    )
    program.stack.callback(recording.close)
    builtin = BuiltinBackend(settings.builtin_concurrency)
    program.stack.callback(builtin.close)
    journal: Journal | None = None
    if settings.comfyui_urls:
        journal = on_disk = SqliteJournal(settings.state, clock)
        program.stack.push_async_callback(on_disk.close)
        await on_disk.open()
    comfy = ComfyBackend(
        settings.comfyui_urls,
        max_media_bytes=settings.max_media_bytes,
        clock=clock,
        allow_remote=settings.allow_remote_comfyui,
        max_waiting=settings.comfyui_queue,
        journal=journal,
        previews=settings.comfyui_previews,
        etiquette=Etiquette(
            unload_after_job=settings.comfyui_unload == "after_job",
            ollama=parse_ollama(settings.ollama_url),
        ),
    )
    await comfy.start()
    program.stack.push_async_callback(comfy.close)
    hosted = hosted_backends(
        settings,
        clock,
        program.stack,
        max_media_bytes=settings.max_media_bytes,
        spool=settings.spool,
    )
    parts: list[Backend] = [builtin, comfy, *hosted]
    backends = {backend.name: backend for backend in parts}
    jobs = Jobs(catalogue.configs, backends, recording, clock, max_jobs=settings.max_jobs)
    program.on_drain(jobs.close)
    server = GrpcServer(program.service, caps=CAPS)
    media_pb2_grpc.add_MediaServiceServicer_to_server(
        MediaServicer(
            jobs,
            catalogue.defaults,
            BackendList(backends, catalogue.configs),
            Pictures(decoder, settings.spool),
        ),
        server.grpc,
    )
    await program.serve(server, settings.host, settings.port)


if __name__ == "__main__":
    run_program("media", MediaSettings, compose)
