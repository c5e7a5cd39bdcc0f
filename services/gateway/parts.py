"""What the routes work with, made in `__main__` and handed to the application."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from services.gateway.clients import RecorderClient
from services.gateway.fanout import Fanout
from services.gateway.limits import StartLimit
from services.gateway.recipes import Recipes
from services.gateway.runs import Runs
from services.gateway.system import System
from services.kit.errors import InvalidArgument, NotFound
from services.kit.ids import RunId


@dataclass(frozen=True, slots=True)
class Parts:
    """The application's collaborators and what of the settings its routes need."""

    runs: Runs
    recorder: RecorderClient
    fanout: Fanout
    system: System
    recipes: Recipes
    start_limit: StartLimit
    wait_seconds: float
    # Whose view everybody has who reaches this server: student, advanced or research.
    audience: str = "research"
    # Whether whoever reaches this server decides as a teacher does.
    teacher_decisions: bool = False


async def parts_of(connection: HTTPConnection) -> Parts:
    """Return the parts of the application that serves this request."""
    parts: Parts = connection.app.state.parts
    return parts


async def run_id_in_path(run_id: str) -> RunId:
    """Parse the id in an address. Raises NotFound: what is no id names no run."""
    try:
        return RunId.parse(run_id)
    except InvalidArgument:
        raise NotFound("RUN_NOT_FOUND", "there is no such run", field="run_id") from None
