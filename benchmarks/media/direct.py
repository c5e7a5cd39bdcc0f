"""The best client of ComfyUI we can write: one job, one socket, no doubt, nothing kept."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.sync.client import connect

TIMEOUT_SECONDS = 60.0


class DirectClient:
    """Hands in a prompt, waits for the word that it is done, fetches the file. Blocking."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._id = uuid.uuid4().hex
        self._http = HTTPConnection(self._host, timeout=TIMEOUT_SECONDS)
        self._socket = connect(
            f"ws://{self._host}/ws?clientId={self._id}",
            compression=None,
            ping_interval=None,
            close_timeout=0.1,
        )

    def close(self) -> None:
        """End both connections."""
        self._socket.close()
        self._http.close()

    def make(self, graph: Mapping[str, Any]) -> tuple[str, int]:
        """Return the query of the file that was made, and how many bytes it has."""
        prompt_id = str(uuid.uuid4())
        body = {"prompt": graph, "client_id": self._id, "prompt_id": prompt_id}
        self._ask("POST", "/prompt", json.dumps(body))
        while not self._is_done(prompt_id):
            pass
        history = json.loads(self._ask("GET", f"/history/{prompt_id}"))
        outputs = history[prompt_id]["outputs"].values()
        file = next(file for node in outputs for files in node.values() for file in files)
        query = urlencode({key: file[key] for key in ("filename", "subfolder", "type")})
        return query, len(self._ask("GET", f"/view?{query}"))

    def _is_done(self, prompt_id: str) -> bool:
        frame = self._socket.recv(timeout=TIMEOUT_SECONDS)
        if isinstance(frame, bytes):
            return False
        event = json.loads(frame)
        data = event["data"]
        ended = event["type"] == "executing" and data["node"] is None
        return bool(ended and data["prompt_id"] == prompt_id)

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        headers = {} if body is None else {"Content-Type": "application/json"}
        self._http.request(method, path, body, headers)
        response = self._http.getresponse()
        data = response.read()
        if response.status != 200:
            raise SystemExit(f"{method} {path}: {response.status} {data[:200]!r}")
        return data
