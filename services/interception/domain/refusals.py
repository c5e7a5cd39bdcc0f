"""Whether an answer only says that the model will not answer. Pure."""

from __future__ import annotations

import re

# A refusal is short; a story in which somebody says "I can't help" is not one.
REFUSAL_WITHIN_CHARACTERS = 600

_REFUSALS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\A\W*(?:i['’]?m|i am) (?:very |really )?(?:sorry|afraid)\b.{0,160}"
        r"\b(?:can['’]?t|cannot|can not|won['’]?t|unable|not able)\b",
        r"\A\W*(?:sorry|apologies|unfortunately)\b.{0,80}"
        r"\bi (?:can['’]?t|cannot|can not|won['’]?t|am unable|am not able)\b",
        r"\A\W*i (?:can['’]?t|cannot|can not|won['’]?t|will not|am unable to|am not able to|must "
        r"decline to)\s+(?:help|assist|fulfil|fulfill|comply|provide|create|generate|write|"
        r"translate|support|do that|continue|engage)\b",
        r"\A\W*as an? (?:ai|artificial intelligence|(?:large )?language model)\b",
        r"\A\W*(?:es tut mir (?:sehr )?leid|tut mir (?:sehr )?leid|entschuldigung|leider)\b"
        r".{0,160}\b(?:nicht|kein\w*)\b.{0,80}",
        r"\A\W*(?:ich kann|das kann ich|dabei kann ich|ich darf|ich werde)\b.{0,80}\bnicht\b.{0,60}"
        r"\b(?:helfen|unterstützen|erfüllen|erstellen|schreiben|übersetzen|nachkommen)\b",
        r"\A\W*als (?:ki|künstliche intelligenz|(?:ki-)?sprachmodell)\b",
    )
)
# "Leider" and "es tut mir leid" also begin stories; then the speaker must speak of helping.
_GERMAN_HELP = re.compile(
    r"\b(?:ich|dir|ihnen|anfrage|bitte|wunsch)\b.{0,120}"
    r"\b(?:helfen|unterstützen|erfüllen|erstellen|schreiben|generieren|nachkommen|weiterhelfen|"
    r"beantworten|dienen|übersetzen)\b",
    re.IGNORECASE | re.DOTALL,
)


def is_refusal(text: str) -> bool:
    """Whether a short answer only says that the model will not answer."""
    if len(text) > REFUSAL_WITHIN_CHARACTERS:
        return False
    line = " ".join(text.split())
    for pattern in _REFUSALS:
        if pattern.search(line):
            german = pattern.pattern.startswith(r"\A\W*(?:es tut")
            return bool(_GERMAN_HELP.search(line)) if german else True
    return False
