"""What helps against a failed output, by reason: one sentence for whoever reads the error. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from services.kit.errors import ArtlabError

_ADVICE: Mapping[tuple[str, ...], str] = {
    ("OUTPUT_NOT_AVAILABLE",): "`artlab backends` says what lacks where",
    ("OUTPUT_REMOTE",): "choose an output that is made here, or give this one such a `fallback`",
    (
        "COMFY_UNAVAILABLE",
    ): "is ComfyUI running there, and is ARTLAB_MEDIA_COMFYUI_URLS right? `artlab backends` tells",
    ("COMFY_EXECUTION",): "see ComfyUI's own log for this node",
    ("COMFY_OOM",): "use a smaller size or fewer steps, or free the card's memory",
    (
        "COMFY_REJECTED",
        "COMFY_WORKFLOW_UNFIT",
    ): "`artlab check --comfyui URL` says what does not fit; update ComfyUI or the workflow",
    ("COMFY_TOO_LARGE",): "use a smaller picture, or start ComfyUI with a larger --max-upload-size",
    ("COMFY_NODE_MISSING", "COMFY_MODEL_MISSING"): "install it on that instance",
    ("COMFY_FORBIDDEN",): "start ComfyUI with --listen, or use the host name it expects",
    ("COMFY_INTERRUPTED",): "somebody stopped it at ComfyUI; try again",
    ("COMFY_LOST",): "ComfyUI was restarted or has crashed: see its log, then try again",
    ("COMFY_STALLED",): "restart that ComfyUI: it answers and does no work",
    (
        "COMFY_NO_OUTPUT",
        "MEDIA_EMPTY",
    ): "see the log for the node that saves; is the disk full there?",
    ("COMFY_PROTOCOL",): "is it a ComfyUI that listens at this address, and nothing in between?",
    ("COMFY_DOWNLOAD_CUT", "BACKEND_FILE_CUT"): "try again; the network to it is poor",
    (
        "DEADLINE",
    ): "ask again: what ends late is taken up; or give the config more `deadline_seconds`",
    ("MEDIA_BUSY", "BACKEND_BUSY"): "too much is asked for at once; try again in a while",
    ("MEDIA_TOO_LARGE",): "use a smaller size or length, or raise ARTLAB_MEDIA_MAX_MEDIA_BYTES",
    ("MEDIA_STATE_UNAVAILABLE",): "ARTLAB_MEDIA_STATE must name a folder with room",
    ("SPOOL_FULL", "SPOOL_FAILED"): "make room where ARTLAB_MEDIA_SPOOL says",
    ("STORAGE_FULL",): "make room on the disk of the runs",
    ("CODE_NOT_ALLOWED", "CODE_EMPTY", "CODE_ONLY_THOUGHT"): "try again, or use another model",
    ("CODE_TRUNCATED",): "raise ARTLAB_MEDIA_CODE_MAX_TOKENS, or ask for something smaller",
    (
        "BACKEND_UNAVAILABLE",
        "BACKEND_TIMEOUT",
    ): "is the API reachable from here? Its status page may know more; try again later",
    ("BACKEND_LOST",): "look into the account there before you ask again: it may be paid for",
    ("BACKEND_NOT_AUTHORIZED",): "the key is wrong or has ended; the message names its variable",
    ("BACKEND_NO_CREDIT",): "the account has no credit left",
    ("BACKEND_MODEL_MISSING", "BACKEND_REJECTED"): "check the options of the output config",
    ("BACKEND_BLOCKED",): "describe it differently",
    ("BACKEND_FAILED", "BACKEND_INTERRUPTED"): "try again",
    ("BACKEND_NO_OUTPUT", "BACKEND_PROTOCOL"): "does this model give what the config expects?",
    ("BACKEND_OUTPUT_REFUSED",): "its files lie where we do not fetch from",
    (
        "MEDIA_MALFORMED",
        "MEDIA_TYPE_NOT_ALLOWED",
        "MEDIA_KIND_MISMATCH",
    ): "what was made is no proper file of this kind; try again, or look at what the backend saves",
    (
        "MEDIA_READ_FAILED",
        "MEDIA_DECODER_PROTOCOL",
        "MEDIA_BACKEND_ERROR",
        "PRODUCT_CHANGED",
        "CONFIG_WITHOUT_WORKFLOW",
        "CONFIG_WITHOUT_OPTIONS",
    ): "a defect: the log of the media service has more",
}
ADVICE: Mapping[str, str] = {
    reason: sentence for reasons, sentence in _ADVICE.items() for reason in reasons
}


def advise(error: ArtlabError) -> None:
    """Add the advice to the error's metadata, unless whoever raised it knew better."""
    advice = ADVICE.get(error.reason)
    if advice is not None:
        error.metadata.setdefault("advice", advice)
