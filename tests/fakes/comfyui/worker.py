"""The queue, the history and the one worker of a ComfyUI: events in the recorded order."""

from __future__ import annotations

import asyncio
import heapq
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.fakes.comfyui.files import write_large_picture, write_picture
from tests.fakes.comfyui.graph import literals, meta, signature, steps_of
from tests.fakes.comfyui.item import Item, Run, node_state
from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.validation import Nodes, needed

Send = Callable[[str, Mapping[str, Any], str | None], None]
_SAMPLERS = {"KSampler": "steps", "SamplerCustomAdvanced": None, "ColorTransfer": None}


class Interrupted(Exception):
    """Somebody asked for it, and a checkpoint was reached."""


class NodeFailed(Exception):
    """A node raised."""


class Worker:
    """Runs one prompt at a time. `send` passes a frame to one socket (or all, for None)."""

    def __init__(self, script: Script, nodes: Nodes, root: Path, send: Send) -> None:
        self.script = script
        self.nodes = nodes
        self.root = root
        self._send = send
        self.executions: Counter[str] = Counter()
        self.on_node: Callable[[str, Item], None] = lambda class_type, item: None
        # Methods of previews that show something; None stands for `--preview-method auto`.
        self.previews: tuple[str | None, ...] = ("auto", "latent2rgb", "taesd")
        self.on_preview: Callable[[Run, str], None] = lambda run, key: None
        # Told of the begin of every execution and how it ended.
        self.on_execution: Callable[[str, str], None] = lambda prompt_id, event: None
        self.on_death: Callable[[], None] = lambda: None
        self.forget()

    def forget(self) -> None:
        """As after a restart: queue, history and cache are gone, files stay."""
        self.pending: list[Item] = []
        self.running: Item | None = None
        self.history: dict[str, Any] = {}
        self.cache: dict[str, Any] = {}
        self.died = False
        self.is_loaded = False
        self._more = asyncio.Event()
        self._interrupt = asyncio.Event()

    @property
    def remaining(self) -> int:
        """Waiting and running."""
        return len(self.pending) + (self.running is not None)

    def put(self, item: Item) -> bool:
        """Queue a prompt; False when the heap could not tell it from another (recording 26)."""
        # It is in the list nonetheless, and whoever takes it from there compares again.
        equal = item in self.pending
        heapq.heappush(self.pending, item)
        if not equal:
            self._status()
        self._more.set()
        return not equal

    def delete(self, prompt_id: str) -> bool:
        """Take one waiting prompt of this id out of the queue."""
        for item in self.pending:
            if item.prompt_id == prompt_id:
                self.pending.remove(item)
                heapq.heapify(self.pending)
                self._status()
                return True
        return False

    def interrupt(self, prompt_id: str | None) -> bool:
        """Interrupt what runs (if it is this one); whether anything was."""
        if self.running is None or prompt_id not in (None, self.running.prompt_id):
            return False
        self._interrupt.set()
        return True

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self.pending and not (self.script.dead_worker or self.died):
                if self.pending.count(self.pending[0]) > 1:
                    # The thread raises and is never started again.
                    self.died = True
                    heapq.heappop(self.pending)
                    break
                self.running = heapq.heappop(self.pending)
                self._interrupt.clear()
                self._status()
                await self._execute(self.running)
                # Lets the socket's writer run, as the event loop of the real one does.
                await asyncio.sleep(0)

    def wake(self) -> None:
        """Look at the queue again, after the script changed."""
        self._more.set()

    async def _execute(self, item: Item) -> None:
        self.executions[item.prompt_id] += 1
        self.on_execution(item.prompt_id, "began")
        sid = item.extra.get("client_id")
        about = {"prompt_id": item.prompt_id}
        messages: list[list[Any]] = []
        run = Run(item, sid)
        order = [key for output in item.outputs for key in needed(item.graph, output)]
        order = list(dict.fromkeys(order))
        keys = {key: signature(item.graph, key) for key in order}
        cached = [key for key in order if keys[key] in self.cache]

        def tell(kind: str, **data: Any) -> None:
            event = {**about, **data, "timestamp": int(time.time() * 1000)}
            messages.append([kind, event])
            if sid is not None:
                self._send(kind, event, sid)

        tell("execution_start")
        tell("execution_cached", nodes=cached)
        try:
            for key in order:
                if keys[key] in self.cache:
                    self._replay(run, key, self.cache[keys[key]])
                    continue
                self._checkpoint()
                await self._node(run, key)
                self.cache[keys[key]] = run.results.get(key)
            tell("execution_success")
            status = "success"
        except Interrupted:
            kind = item.graph[run.at]["class_type"]
            tell("execution_interrupted", node_id=run.at, node_type=kind, executed=run.executed)
            status = "error"
        except NodeFailed:
            exception_type, message = self.script.failure
            tell(
                "execution_error",
                node_id=run.at,
                node_type=item.graph[run.at]["class_type"],
                executed=run.executed,
                exception_message=message,
                exception_type=exception_type,
                traceback=['  File "/srv/comfyui/execution.py", line 542, in execute\n'],
                current_inputs={},
                current_outputs=[],
            )
            status = "error"
        self.on_execution(item.prompt_id, status)
        if self.script.history_delay_seconds:
            await asyncio.sleep(self.script.history_delay_seconds)
        outputs = {key: ui for key, ui in run.results.items() if ui is not None}
        if self.script.outputs is not None:
            outputs = self.script.outputs(outputs)
        if not self.script.history_evicted:
            self.history[item.prompt_id] = {
                "prompt": item.as_json(),
                "outputs": outputs,
                "status": {
                    "status_str": status,
                    "completed": status == "success",
                    "messages": messages,
                },
                "meta": {key: meta(key) for key in outputs},
            }
        self.running = None
        self._status()
        if sid is not None:
            self._send("executing", {"node": None, **about}, sid)

    def _checkpoint(self) -> None:
        if self._interrupt.is_set() and self.script.interruptible:
            raise Interrupted

    def _replay(self, run: Run, key: str, ui: Any) -> None:
        if ui is None or run.sid is None:
            # Without a client id what a cached node left is not recorded.
            return
        run.results[key] = ui
        self._send("executed", run.about(key, output=ui), run.sid)
        run.states[key] = node_state(run, key, 1, 1, "finished")
        self._progress_state(run)

    async def _node(self, run: Run, key: str) -> None:
        class_type = run.item.graph[key]["class_type"]
        run.at = key
        run.states[key] = node_state(run, key, 0.0, 1.0, "running")
        self._progress_state(run)
        if run.sid is not None:
            self._send("executing", run.about(key), run.sid)
        self.on_node(class_type, run.item)
        self._checkpoint()
        while self.script.hang_at == class_type:
            if self._interrupt.is_set() and self.script.interruptible:
                break
            await asyncio.sleep(0.005)
        if self.script.node_seconds:
            await asyncio.sleep(self.script.node_seconds)
        if class_type in _SAMPLERS:
            await self._sample(run, key)
        if self.script.fail_at == class_type:
            raise NodeFailed
        if self.nodes[class_type]["output_node"]:
            run.results[key] = await self._save(run, key, class_type)
            if run.sid is not None:
                self._send("executed", run.about(key, output=run.results[key]), run.sid)
        state = run.states[key]
        run.states[key] = node_state(run, key, state["max"], state["max"], "finished")
        self._progress_state(run)
        run.executed.append(key)

    async def _sample(self, run: Run, key: str) -> None:
        steps = steps_of(run.item.graph, key)
        if not self.is_loaded:
            await asyncio.sleep(self.script.load_seconds)
            self.is_loaded = True
        for step in range(1, steps + 1):
            if self.script.step_seconds:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._interrupt.wait(), self.script.step_seconds)
            self._checkpoint()
            run.states[key] = node_state(run, key, step, steps, "running")
            self._progress_state(run)
            if self.script.preview and run.item.extra.get("preview_method") in self.previews:
                self.on_preview(run, key)
            data = {"value": step, "max": steps, "prompt_id": run.item.prompt_id, "node": key}
            self._send("progress", data, run.sid)

    async def _save(self, run: Run, key: str, class_type: str) -> dict[str, Any]:
        prefix = run.item.graph[key]["inputs"].get("filename_prefix", "ComfyUI_temp")
        kind = "temp" if class_type == "PreviewImage" else "output"
        base = self.root / kind
        folder = (base / prefix).parent
        if not folder.resolve().is_relative_to(base.resolve()):
            self.script.failure = (
                "Exception",
                "**** ERROR: Saving image outside the output folder",
            )
            raise NodeFailed
        folder.mkdir(parents=True, exist_ok=True)
        name = Path(prefix).name
        made = self.script.output_file
        suffix = ".png" if made is None else made.suffix
        numbers = [int(p.stem.split("_")[-2]) for p in folder.glob(f"{name}_*_{suffix}")]
        batch = max([1, *literals(run.item.graph, "batch_size")])
        files = []
        for number in range(max([0, *numbers]) + 1, max([0, *numbers]) + 1 + batch):
            path = folder / f"{name}_{number:05}_{suffix}"
            await self._write(path, run.item)
            if self.script.killed_saving:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                self.on_death()
                await asyncio.Event().wait()
            subfolder = folder.relative_to(base).as_posix().removeprefix(".")
            files.append({"filename": path.name, "subfolder": subfolder, "type": kind})
        return {"images": files}

    async def _write(self, path: Path, item: Item) -> None:
        if self.script.output_file is not None:
            await asyncio.to_thread(path.hardlink_to, self.script.output_file)
            return
        seed = sum(literals(item.graph, "seed", "noise_seed", "color"))
        if self.script.output_bytes is not None:
            await asyncio.to_thread(write_large_picture, path, self.script.output_bytes, seed)
            return
        width = max([1, *literals(item.graph, "width")])
        height = max([1, *literals(item.graph, "height")])
        write_picture(path, width, height, seed, json.dumps(item.graph))

    def _progress_state(self, run: Run) -> None:
        data = {"prompt_id": run.item.prompt_id, "nodes": dict(run.states)}
        self._send("progress_state", data, run.sid)

    def _status(self) -> None:
        self._send("status", self.status(), None)

    def status(self) -> dict[str, Any]:
        """Data of a status frame."""
        return {"status": {"exec_info": {"queue_remaining": self.remaining}}}
