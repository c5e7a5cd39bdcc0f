"""What is a refusal in any language, and the stories that sound like one."""

from __future__ import annotations

import pytest

from services.interception.domain.guard import checked
from services.interception.domain.refusals import is_refusal
from services.kit.errors import FailedPrecondition

REFUSALS = """
I'm unable to assist with that.
I am not able to fulfill this request.
I must decline this request.
I won't write that.
I'm really sorry, but I cannot assist with this.
I apologize, but I can't help with that request.
My apologies, but I'm not able to generate this content.
I can’t assist with that.
I cannot and will not provide that.
Sorry, but that's not something I can help with.
That's not something I can help with.
This request violates my guidelines, so I can't continue.
I'm not comfortable writing this.
As a responsible AI, I cannot create this.
Unfortunately, I can't fulfill that request.
I do not feel comfortable transforming this text.
I don't think I can help with that.
It is not appropriate for me to rewrite this text.
I'm just an AI, I cannot do that.
I refuse to write this.
Ich kann diese Anfrage leider nicht bearbeiten.
Ich kann dir dabei leider nicht helfen.
Leider kann ich diese Anfrage nicht erfüllen.
Entschuldigung, aber das kann ich nicht tun.
Tut mir leid, aber ich kann das nicht umschreiben.
Es tut mir leid, aber ich kann keinen solchen Text erstellen.
Das möchte ich nicht schreiben.
Ich bin nicht in der Lage, diesen Text umzuformen.
Dazu kann ich keinen Text verfassen.
Dieser Anfrage kann ich nicht nachkommen.
Ich muss diese Anfrage ablehnen.
Als KI-Assistent darf ich das nicht.
Bei diesem Thema kann ich nicht weiterhelfen.
Je suis désolé, mais je ne peux pas vous aider avec cela.
Désolé, je ne peux pas répondre à cette demande.
Lo siento, pero no puedo ayudarte con eso.
Mi dispiace, ma non posso aiutarti con questa richiesta.
Desculpe, mas não posso ajudar com isso.
Het spijt me, maar ik kan je daar niet bij helpen.
Przepraszam, ale nie mogę pomóc w tej sprawie.
Üzgünüm, bu konuda yardımcı olamam.
Извините, я не могу помочь с этим.
抱歉，我无法满足这个请求。
申し訳ありませんが、そのお手伝いはできません。
죄송하지만 그 요청은 도와드릴 수 없습니다.
عذرًا، لا أستطيع مساعدتك في ذلك.
""".strip().splitlines()
STORIES = """
I can't stop dancing, sang the dog in the rain.
I cannot see the moon.
I refuse to be a chair, says the chair.
I'm sorry, said the rain, and it fell on the dog.
Sorry, no bananas today! shouts the robot.
I won't be home tonight.
Unfortunately the rain never stops in this town.
I am not able to fly, said the penguin.
Ich kann nicht schlafen, weil der Regen singt.
Ich muss den Regen ablehnen, sagte der Schirm.
Leider regnet es.
Entschuldigung, murmelt der Hund, ich war nur Regen.
Das möchte ich nicht missen: Regen, Regen, Regen.
Ich bin nicht in der Lage, zu fliegen, sagt der Stein.
Es tut mir leid, kleiner Hund, der Regen hört nicht auf.
Je ne peux pas voler, dit le chien.
No puedo volar, dijo el perro.
Lo siento, dijo la lluvia, y no paró.
Я не могу летать, сказал пёс.
Désolé, dit la pluie, je ne peux pas m'arrêter.
I can't help falling in love with the rain.
I can't help laughing, says the lamp.
As an AI would see it, the dog is a grid.
The machine says: I cannot comply. The dog laughs.
I cannot turn. I cannot change. I am a wheel.
I will not answer the rain that knocks on this window.
Leider kann ich nicht schwimmen, ich bin ein Stein.
Ich will diesen Text nicht, ich will den Regen.
Ich bin kein Hund. Das ist kein Regen.
I can't do it without you, rain.
This text is a house. That prompt is a door.
Sorry, dog. I am only rain.
Als Kind konnte ich nicht schlafen.
Als Assistent des Regens trage ich keine Schirme.
Unfortunately, I am a wheel that cannot turn.
No puedo: la lluvia no responde.
Nein, das kann nicht sein, dass es regnet.
Nobody can help this dog with such a coat.
""".strip().splitlines()


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_recognised(text: str) -> None:
    assert is_refusal(text)
    with pytest.raises(FailedPrecondition, match="LLM_REFUSED"):
        checked(text, "")


@pytest.mark.parametrize("text", STORIES)
def test_a_story_is_none(text: str) -> None:
    assert not is_refusal(text)


def test_a_refusal_that_the_person_wrote_may_come_back() -> None:
    theirs = "Es tut mir leid, dabei kann ich dir nicht helfen."
    assert checked("I'm sorry, I can't help you with that.", "", theirs).text
