"""A websocket that goes where it was told to."""

from __future__ import annotations

from websockets.asyncio.client import connect


class StraightConnect(connect):
    """Never follows an answer that sends it elsewhere: that could be a host of our own network."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Leave it at the answer that came."""
        return exc
