"""What happens to the parts of a world, drawn from a seed: kills, freezes, cuts, at odd moments."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from services.cli.fleet import ServiceFailed
from services.cli.replicas import NATS
from tests.faults.orchestrator_world import COMFYS, World

Kind = Literal["kill", "terminate", "freeze", "cut", "isolate"]
# Longer than a claim holds, so that somebody else has the run when its driver wakes.
LONGEST_SECONDS: dict[Kind, float] = {
    "kill": 1.5,
    "terminate": 0.5,
    "freeze": 7.0,
    "cut": 6.0,
    "isolate": 7.0,
}
# Who calls whom; any of these may be cut.
CALLS = (
    ("gateway", "orchestrator"),
    ("gateway", "recorder"),
    ("orchestrator", "recorder"),
    ("orchestrator", "safety"),
    ("orchestrator", "interception"),
    ("orchestrator", "media"),
    ("orchestrator", NATS),
    ("media", "recorder"),
    ("media", COMFYS[0]),
    ("media", COMFYS[1]),
)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: after a pause, of what kind, to whom, for how long."""

    pause_seconds: float
    kind: Kind
    victims: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        """In words."""
        whom = " | ".join(self.victims)
        return f"+{self.pause_seconds:.2f} s {self.kind} {whom} for {self.seconds:.2f} s"

    async def happen(self, world: World) -> None:
        """Do it, wait, and make it good."""
        if self.kind == "kill":
            await world.kill(self.victims[0])
        elif self.kind == "terminate":
            await world.terminate(self.victims[0])
        elif self.kind == "freeze":
            await world.freeze(self.victims[0])
        elif world.network is not None:
            cut = world.network.cut if self.kind == "cut" else world.network.isolate
            await cut(*self.victims)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            await self._heal(world)

    async def _heal(self, world: World) -> None:
        if self.kind in ("kill", "terminate"):
            await world.start(self.victims[0])
        elif self.kind == "freeze":
            await world.thaw(self.victims[0])
        elif world.network is not None:
            heal = world.network.join if self.kind == "cut" else world.network.reach
            await heal(*self.victims)


def faults(world: World, seed: int, pause_seconds: tuple[float, float]) -> Iterator[Fault]:
    """Yield faults without end; the same seed in the same kind of world yields the same ones.

    Args:
        world: where.
        seed: what is drawn from.
        pause_seconds: least and most before the next one.
    """
    draw = random.Random(seed)
    parts = [*world.fleet.specs, *world.comfys]
    kinds: list[Kind] = ["kill", "kill", "terminate", "freeze", "freeze"]
    if world.network is not None:
        kinds += ["cut", "cut", "isolate"]
    while True:
        kind = draw.choice(kinds)
        victims: tuple[str, ...] = (draw.choice(_likely(parts, world.replicas)),)
        if kind == "cut":
            victims = _link(draw, parts, world.replicas)
        elif kind == "terminate":
            victims = (draw.choice([*world.replicas, "media", "gateway"]),)
        pause = draw.uniform(*pause_seconds)
        yield Fault(pause, kind, victims, draw.uniform(0.0, LONGEST_SECONDS[kind]))


async def suffer(
    world: World, schedule: Iterator[Fault], is_over: Callable[[], bool], told: list[str]
) -> None:
    """Let one after the other happen until it is over; what happened is told."""
    while not is_over():
        fault = next(schedule)
        await asyncio.sleep(fault.pause_seconds)
        if is_over():
            return
        told.append(str(fault))
        await fault.happen(world)


async def recovered(world: World, seconds: float) -> None:
    """Wait until everybody answers again. Raises ServiceFailed."""
    for name, child in world.fleet.children.items():
        if child.exit_code is not None:
            raise ServiceFailed(name, f"ended by itself with {child.exit_code}", child.log)
    async with asyncio.TaskGroup() as group:
        for name in world.fleet.specs:
            group.create_task(world.fleet.wait_ready(name, seconds))


def _likely(parts: Sequence[str], replicas: Sequence[str]) -> list[str]:
    # Those this is about go more often than the others.
    return [*parts, *replicas, *replicas]


def _link(draw: random.Random, parts: Sequence[str], replicas: Sequence[str]) -> tuple[str, str]:
    while True:
        ends = draw.choice(CALLS)
        one, other = (draw.choice(replicas) if end == "orchestrator" else end for end in ends)
        if one in parts and other in parts:
            return one, other
