"""A network of namespaces on one machine, whose links can be cut: packets vanish, nobody is told.

Each place is a network namespace with an address of its own, joined to the others by a bridge; the
process that made it stands at the bridge and reaches all of them. Needs root and iproute2.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

INSTALL = "needs root and iproute2 (on Debian: apt install iproute2)"
# Nobody has it, so that what is sent there is dropped by everybody.
_NOBODY = "02:00:00:00:00:fe"
_ATTEMPTS = 50


class NoNetwork(Exception):
    """Namespaces cannot be made here; the message says what the command answered."""


class Network:
    """Places by name; see `network`."""

    def __init__(self, number: int, places: Sequence[str]) -> None:
        self._number = number
        self._places = {name: index for index, name in enumerate(places, 2)}
        self._cut: set[frozenset[str]] = set()

    def address(self, place: str) -> str:
        """Its address."""
        return f"10.213.{self._number}.{self._places[place]}"

    def within(self, place: str) -> list[str]:
        """A command that starts the command behind it in this place."""
        return [_ip(), "netns", "exec", self._namespace(place)]

    async def cut(self, one: str, other: str) -> None:
        """Let nothing through between two places, in either direction."""
        self._cut.add(frozenset((one, other)))
        for here, there in ((one, other), (other, one)):
            await self._neighbour(here, there, _NOBODY)

    async def join(self, one: str, other: str) -> None:
        """Let everything through again."""
        self._cut.discard(frozenset((one, other)))
        for here, there in ((one, other), (other, one)):
            await self._neighbour(here, there, self._hardware(there))

    async def isolate(self, place: str) -> None:
        """Let nothing through to or from a place."""
        await _run("link", "set", self._link(place), "down")

    async def reach(self, place: str) -> None:
        """Let everything through again."""
        await _run("link", "set", self._link(place), "up")

    async def make(self) -> None:
        """Make all of it. Raises NoNetwork."""
        await _run("link", "add", self._bridge, "type", "bridge")
        await _run("addr", "add", f"10.213.{self._number}.1/24", "dev", self._bridge)
        await _run("link", "set", self._bridge, "up")
        for place in self._places:
            await self._make_place(place)

    async def remove(self) -> None:
        """Remove what there is of it."""
        for place in self._places:
            await _run("netns", "del", self._namespace(place), may_fail=True)
        await _run("link", "del", self._bridge, may_fail=True)

    async def _make_place(self, place: str) -> None:
        inside, outside = self._namespace(place), self._link(place)
        await _run("netns", "add", inside)
        await _run(
            *("link", "add", outside, "type", "veth"),
            *("peer", "name", "eth0", "address", self._hardware(place), "netns", inside),
        )
        await _run("link", "set", outside, "master", self._bridge, "up")
        await _run("-n", inside, "addr", "add", f"{self.address(place)}/24", "dev", "eth0")
        await _run("-n", inside, "link", "set", "eth0", "up")
        await _run("-n", inside, "link", "set", "lo", "up")

    async def _neighbour(self, here: str, there: str, hardware: str) -> None:
        to = (self.address(there), "lladdr", hardware, "dev", "eth0", "nud", "permanent")
        await _run("-n", self._namespace(here), "neigh", "replace", *to)

    @property
    def _bridge(self) -> str:
        return f"artlab{self._number}"

    def _namespace(self, place: str) -> str:
        return f"artlab{self._number}-{place}"

    def _link(self, place: str) -> str:
        return f"artlab{self._number}x{self._places[place]}"

    def _hardware(self, place: str) -> str:
        return f"02:00:00:00:{self._number:02x}:{self._places[place]:02x}"


@asynccontextmanager
async def network(places: Sequence[str]) -> AsyncIterator[Network]:
    """Make a network and remove it at the end. Raises NoNetwork where it cannot be made."""
    draw = random.SystemRandom()
    for attempt in range(_ATTEMPTS):
        made = Network(draw.randrange(1, 255), places)
        try:
            await made.make()
        except NoNetwork as error:
            if "File exists" in str(error) and attempt + 1 < _ATTEMPTS:
                continue  # another test has this number
            await made.remove()
            raise
        try:
            yield made
        finally:
            await made.remove()
        return


def has_networks() -> bool:
    """Whether namespaces can be made here."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"artlab-try-{os.getpid()}"
    added = subprocess.run([_ip(), "netns", "add", name], capture_output=True, check=False)
    subprocess.run([_ip(), "netns", "del", name], capture_output=True, check=False)
    return added.returncode == 0


def _ip() -> str:
    return shutil.which("ip") or "ip"


async def _run(*arguments: str, may_fail: bool = False) -> None:
    process = await asyncio.create_subprocess_exec(
        *(_ip(), *arguments), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode and not may_fail:
        raise NoNetwork(f"ip {' '.join(arguments)}: {said.decode().strip()}")
