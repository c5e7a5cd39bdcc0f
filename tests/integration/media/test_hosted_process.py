"""The media service as a process with keys: what it logs, records and answers holds neither key nor
prompt where they do not belong.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from artlab.media.v1 import media_pb2
from tests.fakes.hosted.openai_api import FakeOpenAIImages
from tests.fakes.hosted.replicate import FakeReplicate
from tests.fakes.hosted.server import KEY, Good, Status
from tests.integration.media.test_media_service_process import asking, installation
from tests.integration.media.world import CALL_SECONDS, create_run, entity_of, request
from tests.support.hosted import PROMPT
from tests.support.rpc import refused


async def test_keys_and_prompts_stay_out_of_logs_records_and_errors(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    async with FakeOpenAIImages() as openai, FakeReplicate() as replicate:
        settings = {
            "LOG_LEVEL": "DEBUG",
            "OPENAI_BASE_URL": openai.base_url,
            "OPENAI_API_KEY_FILE": str(tmp_path / "key"),
            "REPLICATE_BASE_URL": replicate.base_url,
            "REPLICATE_API_KEY": KEY,
        }
        async with (
            installation(tmp_path, **settings) as both,
            asking(*both) as (media, recorder),
        ):
            run = await create_run(recorder)
            openai.script(Status(503), Good(), Status(401))

            async def generate(config: str, number: int) -> list[media_pb2.GenerateMediaResponse]:
                asked = request(
                    f"{run}/uploads/output-{number}", output_config=config, prompt=PROMPT, recipe=""
                )
                return [one async for one in media.GenerateMedia(asked, timeout=CALL_SECONDS)]

            made = entity_of(await generate("gpt_image", 1))
            assert dict(made.metadata)["cost_amount"] == "0.17"
            assert (made.models_used[0].backend, made.digest.size_bytes) == (
                "openai_images",
                len(openai.picture),
            )
            assert entity_of(await generate("replicate_image", 2)).digest.size_bytes
            async with refused("FAILED_PRECONDITION", "BACKEND_NOT_AUTHORIZED") as seen:
                await generate("gpt_image", 3)
            assert "ARTLAB_MEDIA_OPENAI_API_KEY" in seen.message
    told = capfd.readouterr()
    assert '"event":"recorded"' in told.err
    written = [file.read_bytes() for file in (tmp_path / "runs").rglob("*") if file.is_file()]
    for text in (told.out + told.err + seen.message, *(data.decode("latin-1") for data in written)):
        assert KEY not in text
        assert PROMPT not in text
