"""Which maker makes which kind of output, from a job's values to bytes and facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.kit.errors import InvalidArgument
from services.media.backends.builtin.render import (
    LANGUAGES,
    Step,
    language_of,
    random_for,
    render_png,
)
from services.media.backends.builtin.words import read_scene
from services.media.ports import RenderJob

Made = tuple[bytes, dict[str, str]]
Make = Callable[[RenderJob, Step], Made]

DEFAULT_SIDE_PIXELS = 1024
# The drawing's part of a film.
_DRAWN = 0.12


def make_image(job: RenderJob, step: Step) -> Made:
    """A PNG. Raises InvalidArgument INVALID_PARAMETER for a size that is not drawn."""
    width = int(job.values.get("width", DEFAULT_SIDE_PIXELS))
    height = int(job.values.get("height", DEFAULT_SIDE_PIXELS))
    data = render_png(job.prompt, job.recipe, job.seed, width, height, step)
    return data, {"width": str(width), "height": str(height),
                  "visual_language": language_of(job.recipe)}  # fmt: skip


def make_sound(job: RenderJob, step: Step) -> Made:
    """An MP3: music for kind music, else what the scene sounds like."""
    # Loaded where a sound is wanted: the encoder takes a tenth of a second and 30 MB.
    from services.media.backends.builtin.sound.render import render_music, render_texture
    from services.media.backends.builtin.sound.signal import RATE_HERTZ
    from services.media.backends.builtin.sound_file import encode_mp3

    seconds = _within(job, "seconds", 8.0, 2.0, 30.0)
    manner = language_of(job.recipe)
    compose = render_music if job.config.kind == "music" else render_texture
    random = random_for(job.prompt, job.recipe, job.seed)
    wave, facts = compose(read_scene(job.prompt), manner, random, seconds, step)
    data = encode_mp3(wave, lambda part: step(0.92 + 0.08 * part))
    return data, facts | {"duration_seconds": f"{seconds:g}", "sample_rate_hertz": str(RATE_HERTZ),
                          "channels": "2", "manner": manner}  # fmt: skip


def make_film(job: RenderJob, step: Step) -> Made:
    """An MP4. Raises InvalidArgument INVALID_PARAMETER for an odd side."""
    from services.media.backends.builtin.film.render import film_frames
    from services.media.backends.builtin.film_file import encode_mp4

    seconds = _within(job, "seconds", 4.0, 1.0, 10.0)
    fps = int(_within(job, "fps", 12, 4, 30))
    size = (_side(job, "width", 640), _side(job, "height", 360))
    language = language_of(job.recipe)
    frames = film_frames(
        read_scene(job.prompt),
        language,
        LANGUAGES[language],
        random_for(job.prompt, job.recipe, job.seed),
        size,
        seconds,
        fps,
        lambda: step(_DRAWN / 2),
    )
    count = max(2, round(seconds * fps))
    data = encode_mp4(frames, *size, fps, count, lambda part: step(_DRAWN + (1 - _DRAWN) * part))
    return data, {"width": str(size[0]), "height": str(size[1]), "frames": str(count),
                  "fps": str(fps), "duration_seconds": f"{count / fps:g}",
                  "visual_language": language}  # fmt: skip


def make_code(job: RenderJob, step: Step) -> Made:
    """A sketch in JavaScript, checked as one of a model is.

    Raises FailedPrecondition CODE_NOT_ALLOWED, which would be a defect of ours.
    """
    from services.media.backends.code.check import check_sketch
    from services.media.backends.code.composer import compose_sketch
    from services.media.backends.code.library import library_of

    library = library_of(job.config)
    sketch, pattern = compose_sketch(job.prompt, job.recipe, job.seed, library)
    step(0.5)
    check_sketch(sketch, library)
    step(1.0)
    return sketch.encode(), {"library": library, "pattern": pattern}


def _within(job: RenderJob, name: str, default: float, low: float, high: float) -> float:
    value = float(job.values.get(name, default))
    if not low <= value <= high:
        raise InvalidArgument(
            "INVALID_PARAMETER", f"expected {low:g} to {high:g}", field=f"parameters.{name}"
        )
    return value


def _side(job: RenderJob, name: str, default: int) -> int:
    value = int(_within(job, name, default, 64, 960))
    if value % 2:
        raise InvalidArgument("INVALID_PARAMETER", "expected an even side",
                              field=f"parameters.{name}")  # fmt: skip
    return value


MAKERS: Mapping[str, Make] = {
    "image": make_image,
    "audio": make_sound,
    "music": make_sound,
    "video": make_film,
    "code": make_code,
}
