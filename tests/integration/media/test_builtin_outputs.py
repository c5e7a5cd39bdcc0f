"""Every kind of output through the real services, without a GPU, an account or a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from artlab.common.v1 import common_pb2
from artlab.media.v1 import media_pb2
from services.media.backends.code.check import find_danger
from tests.fakes.openai_server import FakeOpenAI, Say
from tests.integration.media.test_media_service_process import asking, installation
from tests.integration.media.world import CALL_SECONDS, create_run, entity_of, request
from tests.unit.media.builtin_jobs import hear, see

pytestmark = pytest.mark.timeout(120)

SKETCH = "function setup() { createCanvas(9, 9); }\nfunction draw() { circle(1, 2, 3); }\n"


async def test_sounds_films_and_sketches_are_made_recorded_and_whole(tmp_path: Path) -> None:
    async with installation(tmp_path) as both, asking(*both) as (media, recorder):
        listed = await media.ListOutputConfigs(
            media_pb2.ListOutputConfigsRequest(), timeout=CALL_SECONDS
        )
        available = {config.name for config in listed.configs if config.available}
        for default in listed.defaults:
            assert set(default.output_configs) & available
        assert {one.kind for one in listed.defaults} == set(common_pb2.MediaKind.values()) - {0}

        run = await create_run(recorder)

        async def made(
            index: int, name: str, **parameters: str
        ) -> tuple[str, dict[str, str], bytes]:
            asked = request(
                f"{run}/uploads/output-{index}",
                output_config=name,
                output_index=index,
                parameters=parameters,
            )
            updates = [u async for u in media.GenerateMedia(asked, timeout=CALL_SECONDS)]
            entity = entity_of(updates)
            (file,) = (tmp_path / "runs" / run.removeprefix("runs/")).glob(entity.filename)
            return entity.media_type, dict(entity.metadata), file.read_bytes()

        kind, facts, data = await made(1, "builtin_music", seconds="2")
        assert kind == "audio/mpeg"
        assert hear(data).seconds == pytest.approx(2, abs=0.1)
        assert facts["mode"]

        kind, _, data = await made(2, "builtin_audio", seconds="2")
        assert kind == "audio/mpeg"
        assert hear(data).rms(0.2, 1.5) > 0.03

        kind, facts, data = await made(
            3, "builtin_video", seconds="2", fps="8", width="128", height="128"
        )
        assert kind == "video/mp4"
        frames, fps = see(data)
        assert (len(frames), fps) == (16, 8)

        run = await create_run(recorder)
        for index, name, library in ((1, "p5js_code", "p5js"), (2, "builtin_tonejs", "tonejs")):
            kind, facts, data = await made(index, name)
            assert kind == "text/javascript"
            assert facts["library"] == library
            assert find_danger(data.decode(), library) is None  # type: ignore[arg-type]
            # Who took over is told.
            assert ("fallback_from" in facts) == (name == "p5js_code")


async def test_with_a_model_it_writes_the_sketch_and_its_key_comes_from_a_file(
    tmp_path: Path,
) -> None:
    key = tmp_path / "key"
    key.write_text("a-key-from-a-file\n")
    async with FakeOpenAI() as model:
        model.script(Say(f"```javascript\n{SKETCH}```"))
        settings = {
            "CODE_BASE_URL": model.base_url,
            "CODE_MODEL": "codestral",
            "CODE_API_KEY_FILE": str(key),
        }
        async with installation(tmp_path, **settings) as both, asking(*both) as (media, recorder):
            run = await create_run(recorder)
            asked = request(f"{run}/uploads/output-1", output_config="p5js_code")
            entity = entity_of([u async for u in media.GenerateMedia(asked, timeout=CALL_SECONDS)])
        assert "fallback_from" not in entity.metadata, entity.metadata["fallback_from"]
        (used,) = entity.models_used
        assert (used.backend, used.model) == ("code", "fake-model")
        (file,) = (tmp_path / "runs").glob(f"*/{entity.filename}")
        assert file.read_text() == SKETCH
        assert model.requests[0].headers["Authorization"] == "Bearer a-key-from-a-file"
