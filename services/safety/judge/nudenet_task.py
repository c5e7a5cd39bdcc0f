"""The task of the limited process that finds body parts in a picture, with nudenet's weights.

Only the weights of the package are used: its own code needs OpenCV, which is ten times as large as
they are. The preparation follows that code: the longer side to 320 pixels, black to the right and
below, colours from 0 to 1.

The request is eight bytes of width and height, then RGB; the answer is one number of four bytes
for each class, the highest score anywhere in the picture. Where it is does not matter to us, so
nothing is suppressed because it overlaps with something more certain.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from importlib.metadata import distribution

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from services.kit.limited_task import Task

HEAD = struct.Struct(">II")
PACKAGE = "nudenet"
SIDE = 320
# A second one saves nothing: 11 ms with one, 12 to 30 with two on two cores.
THREADS = 1
_WEIGHTS = "nudenet/320n.onnx"
# Of each candidate: four numbers of its box, then its classes.
_BOX = 4


def load() -> Task:
    """Load the weights, about half a second; the task then takes some 12 ms a picture."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    # An arena keeps the largest picture's memory for ever; ours are all alike and small.
    options.enable_cpu_mem_arena = False
    session = onnxruntime.InferenceSession(weights(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def scores(request: bytes, files: Sequence[int]) -> bytes:
        (found,) = session.run(None, {name: _prepared(request)})
        best = np.asarray(found)[0, _BOX:].max(axis=1)
        answer: bytes = best.astype(">f4").tobytes()
        return answer

    return scores


def weights() -> str:
    """The path of the weights. Raises PackageNotFoundError."""
    return str(distribution(PACKAGE).locate_file(_WEIGHTS))


def _prepared(request: bytes) -> npt.NDArray[np.float32]:
    size = HEAD.unpack_from(request)
    picture = Image.frombytes("RGB", size, request[HEAD.size :])
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    scale = SIDE / max(picture.size)
    if scale > 1:
        wanted = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(wanted, Image.Resampling.BILINEAR)
    canvas = Image.new("RGB", (SIDE, SIDE))
    canvas.paste(picture)
    values = np.asarray(canvas, dtype=np.float32) / 255.0
    return values.transpose(2, 0, 1)[np.newaxis]
