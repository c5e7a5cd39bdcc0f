"""A supervisor in a process of its own over stand-ins, so that tests can end it by signals.

    python -m tests.integration.cli.supervise LOGS NAME=MODE …

Prints `NAME PID` for each process, then `watching`; later every report as `report NAME WHAT`.
Ends as `artlab up` does: 0 when asked to stop, 130 when asked twice, 1 when a service failed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from services.cli.fleet import Fleet, ServiceFailed
from services.cli.interrupts import Interrupted, interrupts
from services.cli.supervisor import Supervisor
from tests.integration.cli.stand_ins import listens, stand_ins


def report(service: str, what: str) -> None:
    print(f"report {service} {what}", flush=True)


async def main(logs: Path, modes: dict[str, str]) -> int:
    with interrupts() as wishes:
        try:
            async with Fleet(stand_ins(**modes), logs, report=report, is_ready=listens) as fleet:
                wishes.on_second(fleet.kill)
                await wishes.unless_asked(fleet.start_all(10))
                for name, child in fleet.children.items():
                    print(name, child.pid, flush=True)
                print("watching", flush=True)
                await wishes.unless_asked(Supervisor(fleet, 10).watch())
        except Interrupted:
            return 130 if wishes.count > 1 else 0
        except ServiceFailed as failed:
            print(f"failed {failed}", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    asked = dict(pair.split("=") for pair in sys.argv[2:])
    raise SystemExit(asyncio.run(main(Path(sys.argv[1]), asked)))
