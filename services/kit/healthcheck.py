"""Ask a service whether it serves: exit status 0 when it does, 1 when not, 2 for wrong usage.

    python -m services.kit.healthcheck 127.0.0.1:17806                 gRPC health
    python -m services.kit.healthcheck http://127.0.0.1:17801/health   HTTP 200
    python -m services.kit.healthcheck                                 the service of this image

Without an argument the service is the one named by the variable SERVICE, which every image sets,
on the port its settings say.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import sys
from collections.abc import Mapping

from services.kit.settings import DEFAULT_PORTS, PREFIX

TIMEOUT_SECONDS = 3.0
_TARGET = re.compile(
    r"(?P<scheme>http://)?(?P<host>[A-Za-z0-9.-]{1,253}):(?P<port>[0-9]{1,5})(?P<path>/[\w/-]*)?",
    re.ASCII,
)


def own_target(environ: Mapping[str, str]) -> str:
    """Return where the service of this image listens. Raises ValueError when it names none."""
    service = environ.get("SERVICE", "")
    if service not in DEFAULT_PORTS:
        raise ValueError(f"SERVICE must be one of {', '.join(sorted(DEFAULT_PORTS))}")
    port = environ.get(f"{PREFIX}{service.upper()}_PORT", str(DEFAULT_PORTS[service]))
    address = f"127.0.0.1:{port}"
    return f"http://{address}/health" if service == "gateway" else address


def serves(target: str) -> bool:
    """Say whether the target answers that it serves; every failure and a late answer is no.

    Raises ValueError for a target that is neither HOST:PORT nor http://HOST:PORT/PATH.
    """
    found = _TARGET.fullmatch(target)
    # A path belongs to http:// and to nothing else.
    if not found or not 0 < int(found["port"]) < 65536 or bool(found[1]) != bool(found["path"]):
        raise ValueError("the target must be HOST:PORT or http://HOST:PORT/PATH")
    if found["path"]:
        return _answers_ok(found["host"], int(found["port"]), found["path"])
    # Loading gRPC takes longer than asking the gateway.
    from services.kit.channel import is_serving

    return asyncio.run(is_serving(target, TIMEOUT_SECONDS))


def _answers_ok(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Return the exit status for the command line."""
    if len(arguments) > 1:
        print("usage: healthcheck [HOST:PORT | http://HOST:PORT/PATH]", file=sys.stderr)
        return 2
    try:
        return 0 if serves(arguments[0] if arguments else own_target(environ)) else 1
    except ValueError as error:
        print(f"healthcheck: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
