"""What an export is asked for, every field checked, in proto order."""

from __future__ import annotations

from artlab.recorder.v1 import recorder_pb2
from services.kit.errors import InvalidArgument
from services.kit.ids import RunId
from services.recorder.archive.exporting import Wish
from services.recorder.parse_filter import parse_filter
from services.recorder.words import AUDIENCES, EXPORT_FORMATS

MAX_NAMES = 1000


def parse_wish(request: recorder_pb2.ExportRunsRequest) -> Wish:
    """Return what is wanted. Raises InvalidArgument with the path of what is wrong."""
    audience = AUDIENCES.word(request.audience, "audience")
    if len(request.names) > MAX_NAMES:
        raise InvalidArgument("TOO_MANY", f"at most {MAX_NAMES}", field="names")
    run_ids = tuple(
        RunId.parse_name(name, f"names[{place}]") for place, name in enumerate(request.names)
    )
    has_filter = request.HasField("filter")
    if bool(run_ids) is has_filter:
        raise InvalidArgument(
            "NAMES_OR_FILTER", "either names or a filter, and not both", field="filter"
        )
    return Wish(
        audience=audience,
        run_ids=run_ids,
        filter=parse_filter(request.filter) if has_filter else None,
        format=EXPORT_FORMATS.word(request.format, "format"),
    )
