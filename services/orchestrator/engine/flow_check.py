"""Whether the paths of a pipeline lead somewhere, and end. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from services.orchestrator.engine.graph import Flow, Path
from services.orchestrator.engine.reader import Reader, at, did_you_mean

# How often a step may be done in all, where loops are within one another.
MAX_TURNS = 1_000


def check_flow(reader: Reader, flow: Flow, places: Mapping[str, str]) -> None:
    """Note every defect of a flow and of the bodies in it; `places` as of the StepParser."""
    everywhere = {step.id for step in flow.walk()}
    _Check(reader, flow, places.get("", ""), everywhere).check()
    for step in flow.steps:
        if step.body is not None:
            _Check(reader, step.body, places.get(step.id, ""), everywhere).check()


class _Check:
    def __init__(self, reader: Reader, flow: Flow, place: str, everywhere: set[str]) -> None:
        self._reader = reader
        self._flow = flow
        self._ids = set(flow.by_id)
        self._everywhere = everywhere
        self._paths = at(at(place, "flow"), "paths")
        self._start = at(at(place, "flow"), "start_at")
        self._steps = at(place, "steps")

    def check(self) -> None:
        if not self._flow.steps:
            return
        whole = self._check_ends()
        whole &= self._check_start()
        if not whole:
            return
        if self._check_cycles():
            self._check_reachable()
            self._check_loops()

    def _place(self, path: Path) -> str:
        return at(self._paths, self._flow.paths.index(path))

    def _check_ends(self) -> bool:
        whole = True
        for number, path in enumerate(self._flow.paths):
            place = at(self._paths, number)
            for key, step in (("from_step", path.from_step), ("to_step", path.to_step)):
                if step not in self._ids:
                    whole = False
                    if step:
                        self._reader.wrong(at(place, key), self._no_step(step))
            if path in self._flow.paths[:number]:
                self._reader.wrong(place, "is there twice")
        return whole

    def _no_step(self, step: str) -> str:
        if step in self._everywhere:
            return f"step {step} is there, but not among these: a body has paths of its own"
        return f"there is no step {step}{did_you_mean(step, self._ids)}"

    def _check_start(self) -> bool:
        whole = True
        for step in self._flow.start_at:
            if step not in self._ids:
                whole = False
                if step:
                    self._reader.wrong(self._start, self._no_step(step))
                continue
            into = self._flow.into(step)
            if into:
                origin = into[0].from_step
                reason = f"{step} cannot start: it waits for {origin}; or give that path a limit"
                self._reader.wrong(self._start, reason)
        if len(set(self._flow.start_at)) < len(self._flow.start_at):
            self._reader.wrong(self._start, "names a step twice")
        return whole

    def _check_cycles(self) -> bool:
        """Look for ways round that no limit ends, each told at the path that leads back."""
        done: set[str] = set()
        whole = True
        for start in (*self._flow.start_at, *(step.id for step in self._flow.steps)):
            trail: list[str] = []
            waiting: list[tuple[str, int]] = [(start, 0)] if start not in done else []
            while waiting:
                step, number = waiting.pop()
                if number == 0:
                    trail.append(step)
                ways = self._flow.out_of(step)
                if number == len(ways):
                    trail.pop()
                    done.add(step)
                    continue
                waiting.append((step, number + 1))
                following = ways[number].to_step
                if following in trail:
                    whole = False
                    circle = [*trail[trail.index(following) :], following]
                    reason = f"{' → '.join(circle)} goes round without end; give this path a limit"
                    self._reader.wrong(self._place(ways[number]), reason)
                elif following not in done:
                    waiting.append((following, 0))
        return whole

    def _check_reachable(self) -> None:
        reached = set(self._flow.start_at)
        for step in self._flow.start_at:
            reached |= self._flow.after.get(step, frozenset())
        for number, one in enumerate(self._flow.steps):
            if one.id not in reached:
                self._reader.wrong(
                    at(self._steps, number), f"no path leads to {one.id} from where it starts"
                )

    def _check_loops(self) -> None:
        flow = self._flow
        turns = dict.fromkeys(self._ids, 1)
        for loop in (path for path in flow.paths if path.is_loop):
            place = self._place(loop)
            if loop.to_step != loop.from_step and loop.from_step not in flow.after.get(
                loop.to_step, frozenset()
            ):
                reason = f"has a limit, but {loop.to_step} does not come before {loop.from_step}"
                self._reader.wrong(at(place, "limit"), reason)
                continue
            body = flow.body_of(loop)
            for made in (one.id for one in flow.steps if one.body is not None and one.id in body):
                self._reader.wrong(place, f"{made} cannot be in a loop: an output is made once")
            for step in body:
                turns[step] *= (loop.limit or 0) + 1
            for path in flow.paths:
                if path.is_loop:
                    continue
                told = f"{path.from_step} → {path.to_step}"
                if path.from_step in body and path.to_step not in body:
                    if path.from_step != loop.from_step:
                        reason = f"{told} leads out of this loop; only {loop.from_step} may"
                        self._reader.wrong(place, reason)
                elif path.to_step in body and path.from_step not in body:
                    if path.to_step != loop.to_step:
                        reason = f"{told} leads into this loop; that must go to {loop.to_step}"
                        self._reader.wrong(place, reason)
        for number, one in enumerate(flow.steps):
            if turns[one.id] > MAX_TURNS:
                reason = f"loops may repeat {one.id} {turns[one.id]} times; at most {MAX_TURNS}"
                self._reader.wrong(at(self._steps, number), reason)
