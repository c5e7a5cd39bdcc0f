"""ComfyUI as a backend of the media service."""

from services.media.comfy.address import parse_address
from services.media.comfy.backend import ComfyBackend
from services.media.comfy.placement import prompt_id_of

__all__ = ["ComfyBackend", "parse_address", "prompt_id_of"]
