"""Pictures by a SwarmUI: a session for each job, progress and previews over its websocket."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from pydantic import SecretStr

from services.kit.errors import ArtlabError
from services.kit.log import facts
from services.media.backends.hosted.account import Account
from services.media.backends.hosted.api import Api
from services.media.backends.hosted.backend import HostedBackend, Limits
from services.media.backends.hosted.errors import Lost, NotTaken, protocol_error
from services.media.backends.hosted.options import options_of
from services.media.backends.hosted.outside import OutsideFiles
from services.media.backends.hosted.spool import spool_data_url
from services.media.backends.swarmui.generation import Generation, InvalidSession
from services.media.backends.swarmui.options import SwarmOptions
from services.media.backends.swarmui.session import Swarm
from services.media.domain.output_config import OutputConfig
from services.media.ports import Product, RenderJob, RenderProgress, Report

log = logging.getLogger(__name__)

NAME = "swarmui"
SILENCE_SECONDS = 10.0
STOP_SECONDS = 5.0
MAX_JSON_BYTES = 32 * 1024 * 1024
# What SwarmUI calls the cookie of an account.
COOKIE = "swarm_user_token"
# Shorter texts are words of any message.
_SHORTEST_REDACTED = 4


class SwarmBackend(HostedBackend):
    """One picture a job; see `HostedBackend`. The account's key is SwarmUI's user token."""

    name = NAME

    def __init__(self, account: Account, limits: Limits) -> None:
        super().__init__(account, limits)
        # Its token is a cookie and no bearer token.
        bare = replace(account, key=SecretStr(""))
        self._headers = _cookie(account.key)
        self._api = Api(
            bare,
            silence_seconds=limits.silence_seconds or SILENCE_SECONDS,
            max_json_bytes=MAX_JSON_BYTES,
            headers=self._headers,
        )
        self._swarm = Swarm(self._api, account, account.clock)
        self._stopping: set[asyncio.Task[bool]] = set()

    async def close(self) -> None:
        """Finish the interruptions under way, then close all connections."""
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=STOP_SECONDS)
        await self._api.aclose()

    async def unavailable_reason(self, config: OutputConfig) -> str | None:
        """Why it cannot make this now: no address, nobody there, no such model."""
        reason = await super().unavailable_reason(config)
        if reason is not None or not self.account.base_url:
            return reason
        lacking = await self._swarm.lacks(options_of(config, SwarmOptions).model)
        # Asking may have told more than that nobody answers: that the token is refused.
        return self.account.reason() or lacking

    async def _make(self, job: RenderJob, report: Report) -> Product:
        options = options_of(job.config, SwarmOptions)
        asked: dict[str, object] = {
            **options.parameters,
            **{options.slot_inputs[slot]: value for slot, value in job.values.items()},
            "images": 1,
            "model": options.model,
            "prompt": job.prompt,
            "seed": job.seed,
        }
        try:
            image = await self._patience.ask(lambda: self._generate(job, asked, report))
        except NotTaken:
            self._swarm.forget()
            raise
        report(RenderProgress("downloading", 1.0))
        return await self._product(image, options.model)

    async def _generate(self, job: RenderJob, asked: dict[str, object], report: Report) -> str:
        session = await self._swarm.new_session()
        texts = [job.prompt, *(value for value in job.values.values() if isinstance(value, str))]
        generation = Generation(
            self.account,
            self._headers,
            {**asked, "session_id": session},
            tuple(text for text in texts if len(text) >= _SHORTEST_REDACTED),
            report,
        )
        try:
            return await generation.run()
        except InvalidSession:
            raise
        except Lost as error:
            if await self._stop(session):
                # It was stopped for certain, and costs nothing but time: make it anew.
                raise NotTaken(self.title, "lost the job") from error
            raise
        except (ArtlabError, asyncio.CancelledError):
            await self._stop(session)
            raise

    async def _stop(self, session: str) -> bool:
        # A task of its own: whoever cancels us may do so twice.
        task = asyncio.create_task(self._interrupt(session), name="stop a generation")
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
        await asyncio.wait({task}, timeout=STOP_SECONDS)
        return task.done() and task.result()

    async def _interrupt(self, session: str) -> bool:
        try:
            return await self._swarm.interrupt(session)
        except ArtlabError as error:
            log.warning("a generation may go on", extra=facts(reason=error.reason))
            return False

    async def _product(self, image: str, model: str) -> Product:
        if image.startswith("data:"):
            spool = await asyncio.to_thread(
                spool_data_url, image, self._limits.max_media_bytes, self._limits.spool, self.title
            )
            return Product(read=spool.open, backend=NAME, model=model, size_bytes=spool.size)
        parts = urlsplit(image)
        if parts.scheme or parts.netloc or not image.startswith("View/") or ".." in image:
            raise protocol_error(self.title, "names a picture that is elsewhere")
        base = self.account.base_url
        files = OutsideFiles(
            title=self.title,
            hosts=(urlsplit(base).hostname or "",),
            max_bytes=self._limits.max_media_bytes,
            inside=True,
            headers=self._headers,
        )
        # Its names hold spaces and question marks of prompts.
        path = image.replace("?", "%3F").replace("#", "%23")
        file = files.file(f"{base}/{path}")
        return Product(read=file.open, backend=NAME, model=model)


def _cookie(token: SecretStr) -> dict[str, str]:
    if not token.get_secret_value():
        return {}
    jar: SimpleCookie = SimpleCookie()
    jar[COOKIE] = token.get_secret_value()
    return {"cookie": jar[COOKIE].OutputString()}
