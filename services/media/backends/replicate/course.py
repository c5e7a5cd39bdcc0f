"""One prediction of Replicate: created or found again, followed to its end, cancelled."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from services.kit.errors import ArtlabError
from services.kit.log import facts
from services.media.backends.hosted.api import Api
from services.media.backends.hosted.errors import Lost, NotTaken, protocol_error
from services.media.backends.hosted.patience import Patience
from services.media.backends.replicate.prediction import Prediction, parse_prediction
from services.media.ports import RenderProgress, Report

log = logging.getLogger(__name__)

# The API holds an answer back for at most 60 s, and takes deadlines of 5 s and more.
WAIT_SECONDS = 60
LEAST_CANCEL_AFTER_SECONDS = 5
POLL_SECONDS = 1.0
# How far the clocks of Replicate and of this machine may be apart.
SKEW = timedelta(minutes=2)
# A prediction is listed within a moment; one that is not there twice was not created.
LOOKS = 2


class Course:
    """One prediction.

    Args:
        title: of the API, for people.
        model: `owner/name`, with a version or without.
        asked: its input, as no other output has it.
        deadline_seconds: after which Replicate ends it by itself.
        taken: ids of the predictions of our jobs; this one's is added.
    """

    def __init__(
        self,
        api: Api,
        patience: Patience,
        title: str,
        model: str,
        asked: Mapping[str, object],
        deadline_seconds: float,
        taken: dict[str, None],
    ) -> None:
        self._api, self._patience, self._title = api, patience, title
        self._asked = asked
        self._body = {"version": model, "input": asked}
        seconds = max(LEAST_CANCEL_AFTER_SECONDS, math.ceil(deadline_seconds))
        self._headers = {"prefer": f"wait={WAIT_SECONDS}", "cancel-after": f"{seconds}s"}
        self._taken = taken
        self._began = datetime.now(UTC)
        # A request was sent, and whether it was carried out is not known.
        self._unsure = False
        self.prediction: Prediction | None = None

    @property
    def open(self) -> bool:
        """Whether something may still be worked on there for us."""
        return self._unsure if self.prediction is None else not self.prediction.ended

    async def run(self, report: Report) -> Prediction:
        """Create it, or find it again, and follow it to its end."""
        prediction = self._hold(await self._patience.ask(self._create))
        while not prediction.ended:
            report(RenderProgress("queued" if prediction.status == "starting" else "executing"))
            await self._patience.sleep(POLL_SECONDS)
            prediction = self._hold(await self._patience.ask(self._look, changes_nothing=True))
        return prediction

    async def stop(self) -> None:
        """Cancel it there, also one whose answer has not come."""
        try:
            found = self.prediction or await self._find()
            if found is not None:
                await self._api.json("POST", f"/predictions/{found.id}/cancel")
        except ArtlabError as error:
            # Cancel-After ends it.
            log.warning("a prediction may go on", extra=facts(reason=error.reason))

    async def _create(self) -> Prediction:
        if self._unsure and (found := await self._find()) is not None:
            return found
        self._unsure = True
        try:
            answer = await self._api.json("POST", "/predictions", self._body, self._headers)
            return parse_prediction(answer.body, self._title)
        except ArtlabError as error:
            lost = isinstance(error, Lost) or error.reason == "BACKEND_TIMEOUT"
            if not lost and error.reason != "BACKEND_PROTOCOL":
                self._unsure = isinstance(error, NotTaken) and error.sent
                raise
            found = await self._find_patiently()
            if found is None and lost:
                raise NotTaken(self._title, "did not take the request") from error
            if found is None:
                raise
            log.info("prediction found again", extra=facts(prediction=found.id))
            return found

    async def _find_patiently(self) -> Prediction | None:
        for _ in range(LOOKS):
            found = await self._patience.ask(self._find, changes_nothing=True)
            if found is not None:
                return found
            await self._patience.sleep(POLL_SECONDS)
        return None

    async def _find(self) -> Prediction | None:
        """The newest prediction with our input that is no other job's."""
        since = quote((self._began - SKEW).strftime("%Y-%m-%dT%H:%M:%SZ"))
        answer = await self._api.json("GET", f"/predictions?created_after={since}")
        results = answer.body.get("results")
        for told in results if isinstance(results, list) else ():
            found = parse_prediction(told, self._title)
            # It may have come back with the model's defaults filled in.
            ours = found.input.items() >= self._asked.items()
            if ours and found.id not in self._taken:
                return found
        return None

    async def _look(self) -> Prediction:
        assert self.prediction is not None
        answer = await self._api.json("GET", f"/predictions/{self.prediction.id}")
        found = parse_prediction(answer.body, self._title)
        if found.id != self.prediction.id:
            raise protocol_error(self._title, "holds another prediction")
        return found

    def _hold(self, prediction: Prediction) -> Prediction:
        self._taken[prediction.id] = None
        self.prediction = prediction
        return prediction
