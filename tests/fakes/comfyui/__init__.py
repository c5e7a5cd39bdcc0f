"""A fake ComfyUI, scriptable, over real sockets: in process or `python -m tests.fakes.comfyui`."""

from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.server import FakeComfyUI, fake_comfyui

__all__ = ["FakeComfyUI", "Script", "fake_comfyui"]
