"""`python -m services.media`: the parts of the media service."""

from __future__ import annotations

from artlab.media.v1 import media_pb2_grpc
from services.kit.channel import open_channel, open_sync_channel
from services.kit.clock import SystemClock
from services.kit.program import Program, run_program
from services.kit.server import GrpcServer
from services.media.backends.builtin.backend import BuiltinBackend
from services.media.catalogue import load_output_catalogue
from services.media.comfy import ComfyBackend
from services.media.jobs import Jobs
from services.media.ports import Backend
from services.media.recording import Recording
from services.media.servicer import CAPS, MediaServicer
from services.media.settings import MediaSettings


async def compose(settings: MediaSettings, program: Program) -> None:
    """Put the parts together and serve until a signal."""
    clock = SystemClock()
    catalogue = load_output_catalogue(settings.configs)
    channel = await program.stack.enter_async_context(open_channel(settings.recorder_target))
    stream_channel = program.stack.enter_context(open_sync_channel(settings.recorder_target))
    recording = Recording(
        channel,
        stream_channel,
        max_media_bytes=settings.max_media_bytes,
        max_streams=settings.max_jobs,
    )
    program.stack.callback(recording.close)
    builtin = BuiltinBackend(settings.builtin_concurrency)
    program.stack.callback(builtin.close)
    comfy = ComfyBackend(
        settings.comfyui_urls,
        max_media_bytes=settings.max_media_bytes,
        clock=clock,
        allow_remote=settings.allow_remote_comfyui,
    )
    await comfy.start()
    program.stack.push_async_callback(comfy.close)
    backends: dict[str, Backend] = {backend.name: backend for backend in (builtin, comfy)}
    jobs = Jobs(catalogue.configs, backends, recording, clock, max_jobs=settings.max_jobs)
    program.on_drain(jobs.close)
    server = GrpcServer(program.service, caps=CAPS)
    media_pb2_grpc.add_MediaServiceServicer_to_server(
        MediaServicer(jobs, catalogue.defaults), server.grpc
    )
    await program.serve(server, settings.host, settings.port)


if __name__ == "__main__":
    run_program("media", MediaSettings, compose)
