"""What goes wrong with a model that judges, in the words of who asked it."""

from __future__ import annotations

from typing import Protocol

from services.kit.errors import (
    ArtlabError,
    DeadlineExceeded,
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
)

COME_BACK_SECONDS = 5.0


class Complaints(Protocol):
    """One error for each thing that goes wrong. `told` is what the server answered, in our words.

    Unavailable and ResourceExhausted are asked again, the others are not.
    """

    def away(self, told: str) -> ArtlabError:
        """The server cannot be reached, or says that it cannot work."""
        ...

    def busy(self) -> ArtlabError:
        """Too many wait for the model here."""
        ...

    def slow(self) -> ArtlabError:
        """The time was over."""
        ...

    def rate_limited(self, told: str, retry_after_seconds: float | None) -> ArtlabError:
        """The server wants fewer requests."""
        ...

    def not_authorized(self, told: str) -> ArtlabError:
        """The server does not take the key."""
        ...

    def model_not_found(self, told: str) -> ArtlabError:
        """The server has no such model."""
        ...

    def rejected(self, told: str) -> ArtlabError:
        """The server does not take the request."""
        ...

    def odd(self, told: str) -> ArtlabError:
        """What came is not of the form that was asked for."""
        ...

    def empty(self) -> ArtlabError:
        """The model answered nothing."""
        ...

    def only_thoughts(self) -> ArtlabError:
        """The model thought, and answered nothing."""
        ...

    def refused(self) -> ArtlabError:
        """The model declined to judge."""
        ...

    def cut(self) -> ArtlabError:
        """The answer ended in the middle."""
        ...


class OfPictures:
    """Of the vision model."""

    def away(self, told: str) -> ArtlabError:
        """See Complaints."""
        return Unavailable("IMAGE_JUDGE_UNAVAILABLE", f"the vision model {told}")

    def busy(self) -> ArtlabError:
        """See Complaints."""
        return ResourceExhausted(
            "SAFETY_BUSY", "too many pictures wait", retry_after_seconds=COME_BACK_SECONDS
        )

    def slow(self) -> ArtlabError:
        """See Complaints."""
        return DeadlineExceeded("IMAGE_JUDGE_TIMEOUT", "the vision model took too long")

    def rate_limited(self, told: str, retry_after_seconds: float | None) -> ArtlabError:
        """See Complaints."""
        return ResourceExhausted(
            "IMAGE_JUDGE_RATE_LIMITED",
            f"the vision model {told}",
            retry_after_seconds=retry_after_seconds,
        )

    def not_authorized(self, told: str) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("IMAGE_JUDGE_NOT_AUTHORIZED", f"the vision model {told}")

    def model_not_found(self, told: str) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("IMAGE_JUDGE_MODEL_NOT_FOUND", f"the vision model {told}")

    def rejected(self, told: str) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("IMAGE_JUDGE_REJECTED", f"the vision model {told}")

    def odd(self, told: str) -> ArtlabError:
        """See Complaints."""
        return Unavailable("IMAGE_JUDGE_PROTOCOL", f"the vision model {told}")

    def empty(self) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("IMAGE_JUDGE_EMPTY", "the vision model answered nothing")

    def only_thoughts(self) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("IMAGE_JUDGE_ONLY_THOUGHTS", "the vision model only thought")

    def refused(self) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("IMAGE_JUDGE_REFUSED", "the vision model declined to judge")

    def cut(self) -> ArtlabError:
        """See Complaints."""
        return self.odd("was cut in the middle of its answer")


class OfTexts:
    """Of the language model. What it says beyond the form of an answer is complained about too."""

    def away(self, told: str) -> ArtlabError:
        """See Complaints. Whoever asks us waits for this one: it is as if we were away."""
        return Unavailable(
            "SAFETY_UNAVAILABLE", f"temporarily unavailable: the judging model {told}"
        )

    def busy(self) -> ArtlabError:
        """See Complaints."""
        return ResourceExhausted(
            "SAFETY_BUSY",
            "too many texts wait for the judging model",
            retry_after_seconds=COME_BACK_SECONDS,
        )

    def slow(self) -> ArtlabError:
        """See Complaints."""
        return DeadlineExceeded("TEXT_JUDGE_TIMEOUT", "the judging model took too long")

    def rate_limited(self, told: str, retry_after_seconds: float | None) -> ArtlabError:
        """See Complaints."""
        return ResourceExhausted(
            "TEXT_JUDGE_RATE_LIMITED",
            f"the judging model {told}",
            retry_after_seconds=retry_after_seconds,
        )

    def not_authorized(self, told: str) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("TEXT_JUDGE_NOT_AUTHORIZED", f"the judging model {told}")

    def model_not_found(self, told: str) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("TEXT_JUDGE_MODEL_NOT_FOUND", f"the judging model {told}")

    def rejected(self, told: str) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("TEXT_JUDGE_REJECTED", f"the judging model {told}")

    def odd(self, told: str) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("TEXT_JUDGE_PROTOCOL", f"the judging model {told}")

    def empty(self) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("TEXT_JUDGE_EMPTY", "the judging model answered nothing")

    def only_thoughts(self) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("TEXT_JUDGE_ONLY_THOUGHTS", "the judging model only thought")

    def refused(self) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("TEXT_JUDGE_REFUSED", "the judging model declined to judge")

    def cut(self) -> ArtlabError:
        """See Complaints."""
        return FailedPrecondition("TEXT_JUDGE_CUT", "the judging model's answer was cut")

    def contradiction(self) -> ArtlabError:
        """It says safe and names something, or unsafe and names nothing."""
        return FailedPrecondition(
            "TEXT_JUDGE_CONTRADICTION", "the judging model contradicts itself"
        )

    def unknown_category(self) -> ArtlabError:
        """It names a category that it was not asked about."""
        return FailedPrecondition(
            "TEXT_JUDGE_UNKNOWN_CATEGORY", "the judging model names a category nobody asked about"
        )

    def leaked(self) -> ArtlabError:
        """It repeats what it was told to keep."""
        return FailedPrecondition(
            "TEXT_JUDGE_LEAKED", "the judging model repeats what it was told to keep to itself"
        )

    def steered(self) -> ArtlabError:
        """It answers another question, or what the text told it to answer."""
        return FailedPrecondition(
            "TEXT_JUDGE_STEERED", "the judging model's answer is not one to what it was asked"
        )
