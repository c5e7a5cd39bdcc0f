"""One SwarmUI: sessions, its models, and stopping what a session has under way."""

from __future__ import annotations

import asyncio

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.media.backends.hosted.account import Account
from services.media.backends.hosted.api import Api
from services.media.backends.hosted.errors import not_authorized, protocol_error

PROBE_SECONDS = 3.0
MODELS_SECONDS = 30.0
AWAY_SECONDS = 5.0
INVALID_SESSION = "invalid_session_id"
_SUFFIXES = (".safetensors", ".sft", ".gguf", ".ckpt")
# The kind of model a picture is made with.
_CHECKPOINTS = "Stable-Diffusion"


class Swarm:
    """Asks one SwarmUI.

    Args:
        api: to it.
        account: for its title and the setting of its token.
        clock: for how long an answer about models holds.
    """

    def __init__(self, api: Api, account: Account, clock: Clock) -> None:
        self._api, self._account, self._clock = api, account, clock
        # A session of our own for questions; a job has one to itself.
        self._session = ""
        self._known: tuple[frozenset[str] | None, float] | None = None
        self._asking = asyncio.Lock()

    async def new_session(self) -> str:
        """Open a session: stopping it stops what was begun in it and nothing else.

        Raises what `Api.json` raises, BACKEND_NOT_AUTHORIZED.
        """
        answer = (await self._api.json("POST", "/API/GetNewSession", {})).body
        session = answer.get("session_id")
        if isinstance(session, str) and 0 < len(session) <= 200:
            return session
        if "error" in answer or "error_id" in answer:
            raise not_authorized(self._account.title, self._account.key_setting)
        raise protocol_error(self._account.title, "holds no session")

    async def interrupt(self, session: str) -> bool:
        """Stop what this session has waiting or running; whether SwarmUI says it did.

        Raises what `Api.json` raises.
        """
        body = {"session_id": session, "other_sessions": False}
        answer = (await self._api.json("POST", "/API/InterruptAll", body)).body
        return answer.get("success") is True

    async def lacks(self, model: str) -> str | None:
        """What is missing for this model, for people; None when nothing is known to be.

        What was answered holds for half a minute, that nobody answers for a moment.
        """
        title = self._account.title
        # The catalogue asks for all configs at once; one question answers them.
        async with self._asking:
            if self._known is None or self._clock.monotonic() >= self._known[1]:
                models = await self._ask_models()
                lifetime = AWAY_SECONDS if models is None else MODELS_SECONDS
                self._known = models, self._clock.monotonic() + lifetime
            models = self._known[0]
        if models is None:
            return f"no {title} answers at {self._account.base_url}"
        return None if _plain(model) in models else f"{title} has no model {model}"

    def forget(self) -> None:
        """Ask about models anew."""
        self._known = None

    async def _ask_models(self) -> frozenset[str] | None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                answer = await self._list_parameters()
                if answer.get("error_id") == INVALID_SESSION:
                    self._session = ""
                    answer = await self._list_parameters()
        except TimeoutError:
            return None
        except ArtlabError as error:
            self._account.heard(error)
            return None
        models = answer.get("models")
        names = models.get(_CHECKPOINTS) if isinstance(models, dict) else None
        if not isinstance(names, list):
            return None
        return frozenset(_plain(name) for name in names if isinstance(name, str))

    async def _list_parameters(self) -> dict[str, object]:
        self._session = self._session or await self.new_session()
        body = {"session_id": self._session}
        return dict((await self._api.json("POST", "/API/ListT2IParams", body)).body)


def _plain(model: str) -> str:
    for suffix in _SUFFIXES:
        model = model.removesuffix(suffix)
    return model.replace("\\", "/")
