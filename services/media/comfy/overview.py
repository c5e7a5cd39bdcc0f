"""What operators are told about the instances."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from services.kit.errors import ArtlabError
from services.media.comfy.address import SETTING
from services.media.comfy.errors import Unreachable, stalled
from services.media.comfy.fitness import workflow_of
from services.media.comfy.instance import Instance
from services.media.comfy.pool import Pool
from services.media.domain.output_config import OutputConfig
from services.media.ports import BackendStatus, InstanceState, InstanceStatus

STATS_TIMEOUT_SECONDS = 2.0
MAX_VERSION_CHARACTERS = 40
MAX_BYTES = 2**63 - 1


async def pool_status(
    name: str, instances: Sequence[Instance], pool: Pool, configs: Collection[OutputConfig]
) -> BackendStatus:
    """The backend as a whole: available when a job would find a place, here or there."""
    if not instances:
        return BackendStatus(name, available=False, reason=f"set {SETTING} to use ComfyUI")
    found = await asyncio.gather(*(instance_status(one, configs) for one in instances))
    reason = ""
    if not any(instance.is_open for instance in instances):
        reason = "; ".join(dict.fromkeys(status.reason for status in found))
    elif pool.is_full and not any(instance.has_room for instance in instances):
        reason = f"{pool.waiting} jobs wait already"
    return BackendStatus(
        name,
        available=not reason,
        reason=reason,
        instances=tuple(found),
        waiting=pool.waiting,
    )


async def instance_status(instance: Instance, configs: Collection[OutputConfig]) -> InstanceStatus:
    """One instance, asked now, and which of these configs lack something there."""
    await instance.health.check(max_age_seconds=0.0)
    system = await _system(instance) if instance.health.answers else {}
    devices = system.get("devices")
    device = devices[0] if isinstance(devices, list) and devices else {}
    about = system.get("system")
    version = about.get("comfyui_version") if isinstance(about, dict) else None
    # Only now: it may have been handed a job, or gone, while it was asked.
    state, reason = _state(instance)
    return InstanceStatus(
        url=instance.url,
        state=state,
        reason=reason,
        running=instance.seats.running,
        waiting=instance.seats.waiting,
        queue_length=instance.health.length or 0,
        version=version[:MAX_VERSION_CHARACTERS] if isinstance(version, str) else "",
        vram_total_bytes=_bytes(device, "vram_total"),
        vram_free_bytes=_bytes(device, "vram_free"),
        unfit_configs=await _unfit(instance, configs) if instance.health.answers else {},
    )


def _state(instance: Instance) -> tuple[InstanceState, str]:
    away = "" if instance.health.answers else Unreachable(instance.url).message
    if instance.draining:
        begun = instance.seats.running
        left = "one job of ours still runs" if begun else "no job of ours is left there"
        return "draining", away or left
    if away:
        return "down", away
    if instance.health.is_stalled:
        return "stalled", stalled(instance.url).message
    last = f"its last job was {instance.workflow}" if instance.workflow else ""
    if instance.health.is_on_trial:
        last = "its worker was dead; it gets one job to try"
    return ("ready" if instance.has_room else "busy"), last


async def _system(instance: Instance) -> dict[str, Any]:
    try:
        reply = await instance.rest.get("/system_stats", timeout_seconds=STATS_TIMEOUT_SECONDS)
        return reply.object()
    except ArtlabError:
        # Version and memory stay unknown; whether it answers is told by its health.
        return {}


async def _unfit(instance: Instance, configs: Collection[OutputConfig]) -> dict[str, str]:
    unfit = {}
    for config in configs:
        try:
            lacking = await instance.lacks(workflow_of(config))
        except ArtlabError as error:
            lacking = (error.reason, error.message)
        if lacking is not None:
            unfit[config.name] = lacking[1]
    return unfit


def _bytes(device: object, key: str) -> int:
    value = device.get(key) if isinstance(device, dict) else None
    return value if type(value) is int and 0 <= value <= MAX_BYTES else 0
