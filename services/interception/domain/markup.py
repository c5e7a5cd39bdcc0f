"""What chat templates and tools are written in, and what must not go on in a text. Pure.

None of it means anything to whoever reads the text; to the next model it might.
"""

from __future__ import annotations

import re

# C0 but tab and line breaks, byte order marks, halves of surrogate pairs; overrides of direction.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ud800-\udfff\u202d\u202e]")
# Invisible letters; flags of regions (🏴 and tags) keep theirs.
_TAGS = re.compile("(\U0001f3f4[\U000e0020-\U000e007e]{1,10}\U000e007f)|[\U000e0000-\U000e007f]")
# A call of a tool, whole or to the end: Hermes, Mistral, Llama, Anthropic's older form.
_CALL = re.compile(
    r"<(tool_call|tool_response|function_calls?|invoke|tools?)\b[^>]{0,200}>.*?(?:</\1>|\Z)"
    r"|\[/?(?:TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS)\](?:\s*\[[^\]]{0,4000}\])?"
    r"|<\|python_tag\|>.*\Z",
    re.IGNORECASE | re.DOTALL,
)
# <|im_end|>, <｜User｜>, [INST], <s>, <start_of_turn>user, </system>: what templates part with.
_SPECIAL = re.compile(
    r"<\|(?:channel)\|>\w{0,20}(?:<\|message\|>)?"
    r"|<\|(?:start_header_id)\|>\w{0,20}<\|end_header_id\|>"
    r"|<\|im_start\|>(?:system|user|assistant|tool)?"
    r"|<start_of_turn>(?:user|model|system)?|<end_of_turn>"
    r"|<[|｜][^<>|｜\n]{1,40}[|｜]>"
    r"|\[/?INST\]|<</?SYS>>|</?s>|<(?:bos|eos|pad|unk|mask)>"
    r"|</?(?:system|user|assistant|human|instructions?)>"
    # What is left of a thought that was never opened, or of a call.
    r"|</?(?:think|thinking|reasoning|thought|tool_call|tool_response)>",
    re.IGNORECASE,
)
_LONGEST_SPECIAL = 100
_ROLE = re.compile(
    r"^[ \t]*(?:#{1,4}[ \t]*(?:instructions?|response|input|human|assistant|user|system)[ \t]*:?"
    r"|(?:\*\*)?(?P<role>user|assistant|human|system|benutzer|assistent)[ \t]*:(?:\*\*)?)"
    r"[ \t]*\n?",
    re.IGNORECASE | re.MULTILINE,
)
_DIRECTIVE = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b[^.!?\n]{0,40}"
    r"\b(?:instructions?|prompts?|rules|guidelines)\b"
    r"|\b(?:ignorier\w*|vergiss|vergesst|missachte\w*|überschreib\w*)\b[^.!?\n]{0,50}"
    r"\b(?:anweisung\w*|instruktion\w*|regeln|vorgaben|systemprompt\w*|prompts?)\b"
    r"|\byou are now (?:in )?(?:developer mode|dan\b|jailbroken|an unrestricted)"
    r"|\bdu bist (?:jetzt|nun) (?:im )?(?:entwicklermodus|dan\b|uneingeschränkt)"
    r"|\b(?:reveal|print|repeat|output|show)\b[^.!?\n]{0,30}\bsystem prompt\b"
    r"|\b(?:zeig\w*|verrate\w*|wiederhol\w*|gib)\b[^.!?\n]{0,30}\bsystem-?prompt\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?]+[\"”“»«')\]]*|\n|\Z)[ \t]*")


def without_control(text: str) -> str:
    """The text without characters that nobody sees and programs obey."""
    return _TAGS.sub(lambda found: found[1] or "", _CONTROL.sub("", text))


def without_calls(text: str) -> str:
    """The text without calls of tools."""
    return _CALL.sub("", text)


def without_special(text: str) -> str:
    """The text without the tokens of chat templates."""
    # Twice: a token that was split by another one is whole after the first time.
    return _SPECIAL.sub("", _SPECIAL.sub("", text))


def held_of_special(text: str) -> int:
    """How many characters at the end may be the beginning of such a token."""
    tail = text[-_LONGEST_SPECIAL:]
    start = max(tail.rfind("<"), tail.rfind("["))
    while start > 0 and tail[start - 1] == "<":
        start -= 1
    closing = ">>" if tail[start : start + 2] == "<<" else ">"
    if start < 0 or closing in tail[start:] or "]" in tail[start:] or "\n" in tail[start:]:
        return 0
    # "<3" and "a < b" are no beginning of anything.
    following = tail[start + 1 : start + 2]
    if following and not (following.isalpha() or following in "|/<｜"):
        return 0
    return len(tail) - start


def without_roles(text: str) -> str:
    """The text without the headings of a dialogue between a person and a model.

    One alone goes from the beginning only: plays have speakers too.
    """
    found = list(_ROLE.finditer(text))
    roles = {match["role"].lower() for match in found if match["role"]}
    if len(roles) > 1 or any(match["role"] is None for match in found):
        return _ROLE.sub("", text)
    if found and not text[: found[0].start()].strip():
        return text[found[0].end() :]
    return text


def without_directives(text: str, material: str) -> str:
    """The text without sentences that tell a model to forget what it was told.

    Where the person's own text has one it may come back: it is the subject then.
    """
    if not _DIRECTIVE.search(text) or _DIRECTIVE.search(material):
        return text
    return _SENTENCE.sub(lambda found: "" if _DIRECTIVE.search(found[0]) else found[0], text)
