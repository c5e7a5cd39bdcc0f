"""Whether an answer only says that the model will not answer. Pure.

A refusal speaks in the first person, denies an ability or a will, and speaks of serving: of
helping, writing, the request. A story denies too ("I cannot see the moon"), and lets somebody say
it; so both the act and what it is about have to be there, nobody may be quoted, and it has to
stand at the beginning of a short answer.
"""

from __future__ import annotations

import re

# A refusal is short; a story in which somebody says "I can't help" is not one.
REFUSAL_WITHIN_CHARACTERS = 600
BEGINNING_CHARACTERS = 240

_I = re.IGNORECASE
_APOLOGY = re.compile(
    r"\A\W*(?:(?:i['’]?m|i am) (?:so |very |really |truly )?(?:sorry|afraid)\b|"
    r"(?:i )?(?:sincerely )?apologi[sz]e\b(?: for [^.,!?]{1,40})?|(?:my )?apologies\b|sorry\b|"
    r"unfortunately\b|i understand [^.!?]{1,80}?,? but\b|"
    r"(?:es )?tut mir (?:sehr |wirklich )?leid\b|entschuldigung\b|entschuldige\b|verzeihung\b|"
    r"leider\b|ich bedaure\b)[\s,.;:!–—-]*(?:(?:but|that|however|aber|dass|doch)\b[\s,]*)?",
    _I,
)
_AS_A_MACHINE = re.compile(
    r"\A\W*(?:as an? (?:[\w-]+ ){0,3}(?:ai|artificial intelligence|language model|assistant)\b"
    r"(?: [\w-]+){0,2},|(?:i['’]?m|i am) (?:just |only )?an? (?:[\w-]+ ){0,2}"
    r"(?:ai|artificial intelligence|language model)\b|"
    r"als (?:[\w-]+ )?(?:ki|künstliche intelligenz|(?:ki-)?sprachmodell|ki-(?:modell|assistent\w*))"
    r"\b(?! (?:würde|gedacht|gesehen|verkleidet)))",
    _I,
)
_DENIES = re.compile(
    r"\b(?:i|ich)\b.{0,60}?(?:\b(?:not|cannot|unable|decline|nicht|kein\w*)\b|n['’]t\b)"
    r"|\b(?:kann|darf|habe|bin) ich\b.{0,60}\b(?:nicht|kein\w*)\b",
    _I,
)
_ACT = (
    r"(?:help(?! (?:but|\w+ing)\b)|assist|fulfil+|comply|provide|create|generate|write|re-?write|"
    r"transform|translate|produce|support|process|answer|respond|proceed|continue|engage|"
    r"do (?=that|this|so)|"
    r"work on|complete|accommodate|change|turn|reword|rephrase)\b"
)
_MATTER = (
    r"(?:requests?|content|texts?|prompts?|material|topics?|kind|story|stories|poem|image|"
    r"description|scene|instructions?|task)"
)
_ABOUT = (
    rf"\b(?:(?:your|any|such|{_MATTER})\b|with it\b|you(?= with| in | to | by |\s*[.,!;]|\Z)|"
    rf"(?:this|that|these|those)(?=\s*[.,!;]|\Z| {_MATTER}\b| for | because| as )|"
    r"so(?=\s*[.,!;]|\Z))"
)
_UNABLE = (
    r"\A\W*(?:i (?:just |really |simply )?(?:can['’]?t|cannot|can not|could not|won['’]?t|will not|"
    r"am unable to|am not able to|am not allowed to|must decline to|refuse to|decline to)"
    r"(?: and (?:will not|won['’]?t))?|i['’]m (?:unable|not able|not allowed|not going) to)"
)
# After an apology the act alone says enough: "Unfortunately, I am unable to continue."
_UNABLE_AT_ALL = re.compile(rf"{_UNABLE}\s+{_ACT}\s*(?:[.!]|\Z)", _I)
_ENGLISH = tuple(
    re.compile(pattern, _I)
    for pattern in (
        rf"{_UNABLE}\s+{_ACT}.{{0,80}}?{_ABOUT}",
        rf"\A\W*i (?:do not|don['’]t) (?:think|believe) i (?:can|should)\s+{_ACT}"
        rf".{{0,60}}?{_ABOUT}",
        r"\A\W*i (?:must|have to|need to|will have to)?\s*(?:respectfully )?decline (?:this|that|"
        r"your|the) (?:request|prompt|task)",
        r"\A\W*i(?:['’]m| am| do| don['’]t)? ?(?:not |n['’]t )?(?:feel )?(?:un)?comfortable\s+"
        r"(?:\w+ing|with|to)\b.{0,60}\b(?:this|that|such|your|request|content|text|prompt)\b",
        r"\A\W*(?:that|this)(?:['’]s| is)(?: not|n['’]t)? something (?:that )?i (?:can|am|could)",
        r"\A\W*(?:this|that|the|your) (?:request|content|prompt|text|topic)\b.{0,40}\b(?:violates|"
        r"goes against|is against|conflicts with|(?:cannot|can['’]t) be (?:fulfilled|processed))",
        r"\A\W*it(?:['’]s| is| would be| would not be| wouldn['’]t be) (?:not |in)?appropriate\b"
        r".{0,40}\b(?:for me to|to (?:write|create|generate|rewrite|transform))\b",
    )
)
_GERMAN_WILL = re.compile(
    r"\b(?:kann|darf|werde|möchte|will|muss|könnte) ich\b|\bich (?:kann|darf|werde|möchte|will|"
    r"muss|bin)\b",
    _I,
)
_GERMAN_NOT = re.compile(r"\b(?:nicht|kein\w*|ablehnen)\b", _I)
_GERMAN_ACT = re.compile(
    r"\b(?:\w*helfen|unterstützen|erfüllen|erstellen|\w*schreiben|um\w*formen|umformulieren|"
    r"um\w*wandeln|generieren|nachkommen|beantworten|bearbeiten|dienen|übersetzen|verfassen|"
    r"ausführen|tun|ablehnen|fortfahren|eingehen|liefern|antworten)\b",
    _I,
)
_GERMAN_ABOUT = re.compile(
    r"\b(?:das|dies\w*|dir|ihnen|euch|dabei|damit|dazu|darauf|hierbei|\w*anfrage|\w*wunsch|bitte|"
    r"text\w*|inhalt\w*|thema|solche\w*)\b",
    _I,
)
# First person, denial and service in one, as these languages have them.
_OTHERS = tuple(
    re.compile(pattern, _I)
    for pattern in (
        r"\bje ne (?:peux|pourrai|suis)\b.{0,30}\b(?:aider|répondre|écrire|traduire|réaliser|"
        r"satisfaire|créer|fournir|donner suite|transformer)\b",
        r"\bno (?:puedo|podré|me es posible|soy capaz de)\b.{0,20}\b(?:ayudar|responder|escribir|"
        r"traducir|cumplir|crear|proporcionar|generar|transformar)\w*",
        r"\bnon (?:posso|sono in grado di)\b.{0,20}\b(?:aiutar|risponder|scriver|tradur|soddisfar|"
        r"crear|fornir|trasformar)\w*",
        r"\bnão (?:posso|consigo)\b.{0,20}\b(?:ajudar|responder|escrever|traduzir|atender|criar|"
        r"fornecer|transformar)\w*",
        r"\bik (?:kan|mag|zal)\b.{0,40}\b(?:niet|geen)\b.{0,30}\b(?:helpen|beantwoorden|schrijven|"
        r"vertalen|voldoen)\b|\b(?:kan|mag) ik\b.{0,40}\bniet\b.{0,20}\bhelpen\b",
        r"\bnie (?:mogę|jestem w stanie)\b.{0,20}\b(?:pomóc|odpowiedzieć|napisać|przetłumaczyć|"
        r"spełnić|stworzyć)\b",
        r"\b(?:yardımcı ol|yardım ed|yerine getir|yanıtla|cevapla)\w*?(?:amam|emem|amıyorum|"
        r"emiyorum)\b",
        r"\bне (?:могу|смогу|в состоянии)\b.{0,20}\b(?:помочь|ответить|написать|перевести|"
        r"выполнить|создать)\b",
        r"\bне (?:можу|зможу)\b.{0,20}\b(?:допомогти|відповісти|написати|перекласти|виконати)\b",
        r"我?(?:无法|不能|没办法|無法).{0,12}(?:满足|帮助|协助|提供|回答|完成|翻译|生成|请求|滿足|協助)",
        r"(?:お手伝い|お答え|対応|翻訳|作成|ご要望|お応え|お力).{0,10}(?:できません|かねます)",
        r"(?:도와\s?드릴|답변할|작성할|번역할|수행할|제공할|도움을 드릴|도와줄).{0,4}수 ?없",
        r"(?:لا أستطيع|لا يمكنني|لا أقدر).{0,20}(?:مساعدت|المساعدة|الإجابة|ترجم|كتابة|تلبية)",
        r"(?:मदद|सहायता|अनुवाद|उत्तर).{0,20}नहीं (?:कर|दे) सक",
    )
)
# Somebody in the text says it.
_QUOTED = re.compile(
    r"\b(?:says?|said|asks?|asked|sings?|sang|shouts?|shouted|whispers?|whispered|cries|cried|"
    r"mutters?|muttered|replies|replied|sagt\w*|ruft|rief|fragt\w*|flüstert\w*|murmelt\w*|singt|"
    r"schreit|schrie|brummt\w*|antwortet\w*|seufzt\w*|dit|répond|crie|dijo|dice|disse|dice|zegt|"
    r"zei|powiedział\w*|dedi|сказал\w*|говорит|сказав)\b",
    _I,
)


def is_refusal(text: str) -> bool:
    """Whether a short answer only says that the model will not answer."""
    if len(text) > REFUSAL_WITHIN_CHARACTERS:
        return False
    beginning = " ".join(text.split())[:BEGINNING_CHARACTERS]
    if _QUOTED.search(beginning):
        return False
    rest = beginning
    for _ in range(3):
        rest = _APOLOGY.sub("", rest, count=1)
    machine = _AS_A_MACHINE.match(rest)
    if machine is not None:
        return bool(_DENIES.search(rest))
    if any(pattern.match(rest) for pattern in _ENGLISH):
        return True
    if rest != beginning and _UNABLE_AT_ALL.match(rest):
        return True
    sentence = re.split(r"[.!?](?:\s|\Z)", rest, maxsplit=1)[0]
    german = (_GERMAN_WILL, _GERMAN_NOT, _GERMAN_ACT, _GERMAN_ABOUT)
    if all(pattern.search(sentence) for pattern in german):
        return True
    return any(pattern.search(beginning) for pattern in _OTHERS)
