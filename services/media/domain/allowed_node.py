"""What an installation lets a ComfyUI workflow be made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AllowedNode:
    """A class of node a workflow may contain, and what we must know of it.

    `models` maps an input that names a model file to the folder that file belongs in; `uploads`
    are inputs that name a picture of the instance's input folder; `saves` are the kinds of output
    it leaves as a file; `weight` is how long its work usually takes beside the others.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    uploads: tuple[str, ...] = ()
    saves: tuple[str, ...] = ()
    weight: float = 1.0


AllowedNodes = Mapping[str, AllowedNode]
