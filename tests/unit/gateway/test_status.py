"""The status of a run for those who may not have metadata.json."""

from __future__ import annotations

import json

from artlab.recorder.v1 import run_pb2
from services.gateway.status import status_document

RUN = "528e5af9-59b3-4551-b101-27e13dd6e43e"
OTHER = "9d1c3ad7-6c5d-4c39-9f53-d52bd3f94d6b"


def test_a_run_tells_from_which_other_one_it_goes_on() -> None:
    run = run_pb2.Run(name=f"runs/{RUN}", parent=f"runs/{OTHER}", parent_sequence=4)
    document = json.loads(status_document(run, "student"))
    assert (document["parent_run_id"], document["parent_sequence"]) == (OTHER, 4)


def test_a_run_of_its_own_tells_of_none() -> None:
    document = json.loads(status_document(run_pb2.Run(name=f"runs/{RUN}"), "student"))
    assert "parent_run_id" not in document
