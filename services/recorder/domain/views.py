"""What each audience may see of a run. Pure; the rules are told in docs/run-folder.md.

An entity says who may see it at least. Two things are known only from the run around it: bytes of
an output are nobody's but research's before the output has succeeded, and a text that a model
wrote is a student's once the check of an output let it through, and research's alone once a check
has refused it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from services.kit.errors import PermissionDenied
from services.recorder.domain.entity import Entity, ModelUse
from services.recorder.domain.events import RunEvent, RunWarning, StageStarted, StateChanged
from services.recorder.domain.outcome import Output, RunError
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import Audience, EntityType, MediaKind, RunState
from services.recorder.domain.warning import warnings_of

# What models wrote on the way to an output.
_WRITTEN = frozenset(
    {
        EntityType.TRANSLATION,
        EntityType.INTERCEPTION_PASS,
        EntityType.INTERCEPTION,
        EntityType.MEDIA_PROMPT,
    }
)
# An output gets there only after the check of stage 3 let its text through.
_STAGE_MEDIA = 4

Said = TypeVar("Said", RunError, RunWarning, RunError | None)


@dataclass(frozen=True)
class RunView:
    """A run as one audience sees it.

    `whole` is the run itself, for what everybody may know: names, states, times, counts.
    """

    whole: Run
    audience: Audience

    def may_see(self, entity: Entity) -> bool:
        """Whether an entity of this run is for this audience, as the run stands."""
        return self.audience is Audience.RESEARCH or self.audience.includes(
            self.least_audience(entity)
        )

    def least_audience(self, entity: Entity) -> Audience:
        """The least audience that may see it now; never less than what was recorded with it."""
        recorded = entity.draft.audience
        if entity.type is EntityType.STEP_OUTPUT:
            # Anything a step had in hand, texts included that nobody has checked.
            return Audience.RESEARCH
        if entity.type.is_output and not self._has_succeeded(entity.draft.output_index):
            return Audience.RESEARCH
        if entity.type is EntityType.QUESTION and self._is_text_refused:
            return Audience.RESEARCH  # it may show what was refused
        if entity.type in _WRITTEN:
            if self._is_text_refused:
                return Audience.RESEARCH
            if recorded is Audience.STUDENT and not self._is_text_let_through:
                return Audience.ADVANCED
        return recorded

    @cached_property
    def entities(self) -> tuple[Entity, ...]:
        """The entities they may see, in order; what they are not, has its number all the same."""
        if self.audience is Audience.RESEARCH:
            return self.whole.entities
        return tuple(self._redacted(one) for one in self.whole.entities if self.may_see(one))

    @cached_property
    def present(self) -> tuple[Entity, ...]:
        """Those of them whose bytes are there."""
        return tuple(one for one in self.entities if not one.is_erased)

    def entity(self, sequence: int) -> Entity:
        """Return one entity.

        Raises NotFound ENTITY_NOT_FOUND, PermissionDenied AUDIENCE_TOO_LOW.
        """
        entity = self.whole.entity(sequence)
        if not self.may_see(entity):
            raise audience_too_low()
        return self._redacted(entity)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Every output and how it ended."""
        if self.audience is not Audience.STUDENT:
            return self.whole.outputs
        return tuple(replace(one, error=self._told(one.error)) for one in self.whole.outputs)

    @property
    def error(self) -> RunError | None:
        """Why the run ended without success."""
        return self._told(self.whole.error)

    @property
    def warnings(self) -> tuple[RunWarning, ...]:
        """What a person should know, in order."""
        return tuple(self._told(one) for one in warnings_of(self.whole))

    @property
    def models_used(self) -> tuple[ModelUse, ...]:
        """What made the entities they may see, each once."""
        if self.audience is Audience.RESEARCH:
            return self.whole.models_used
        seen = (use for entity in self.entities for use in entity.draft.models_used)
        return tuple(dict.fromkeys(seen))

    def event(self, event: RunEvent) -> RunEvent:
        """A fact as they may hear it: none is left out, what it names is looked up in this view."""
        match event.payload:
            case StateChanged(state, error):
                return replace(event, payload=StateChanged(state, self._told(error)))
            case RunWarning():
                return replace(event, payload=self._told(event.payload))
        return event

    def _redacted(self, entity: Entity) -> Entity:
        # Parameters and what a backend reported are of the process.
        if self.audience is Audience.STUDENT and entity.draft.metadata:
            return replace(entity, draft=replace(entity.draft, metadata={}))
        return entity

    def _told(self, said: Said) -> Said:
        # The message is for developers; what a person needs is the reason and the explanation.
        if said is None or self.audience is not Audience.STUDENT:
            return said
        return replace(said, message="")

    def _has_succeeded(self, output_index: int) -> bool:
        outputs = self.whole.outputs
        return (
            1 <= output_index <= len(outputs)
            and outputs[output_index - 1].state is RunState.SUCCEEDED
        )

    @cached_property
    def _is_text_refused(self) -> bool:
        outputs = self.whole.outputs
        blocked = [one for one in outputs if one.state is RunState.BLOCKED]
        return (
            self.whole.state is RunState.BLOCKED
            or any(one.kind is MediaKind.TEXT for one in blocked)
            or (bool(blocked) and not any(one.state is RunState.SUCCEEDED for one in outputs))
        )

    @cached_property
    def _is_text_let_through(self) -> bool:
        outputs = self.whole.outputs
        return any(one.state is RunState.SUCCEEDED for one in outputs) or any(
            outputs[index - 1].state is not RunState.BLOCKED for index in self._reached_media()
        )

    def _reached_media(self) -> Iterator[int]:
        # The newest first: where a run is in stage 4, that was told just now.
        for event in reversed(self.whole.events):
            match event.payload:
                case StageStarted(progress) if progress.stage == _STAGE_MEDIA:
                    if progress.output_index:
                        yield progress.output_index


def view(run: Run, audience: Audience) -> RunView:
    """A run as this audience sees it."""
    return RunView(run, audience)


def audience_too_low() -> PermissionDenied:
    """What is said to those for whom a thing is not meant."""
    return PermissionDenied(
        "AUDIENCE_TOO_LOW", "this is not meant for the audience that asks", field="audience"
    )
