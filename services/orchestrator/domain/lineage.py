"""From which run another one goes on, and what it takes over. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.kit.ids import RunId


@dataclass(frozen=True, slots=True)
class Rerun:
    """What a request says of the run it goes on from.

    Attributes:
        parent: that run.
        from_stage: the first stage that is done anew, 2 to 4.
        text: takes the place of the intercepted one, from stage 3 on; an entity once the run
            exists, so that a plan has only its digest.
        text_sha256: of that text, in hex; empty when there is none.
        unset: names of the fields of the request that were left to the parent, sorted.
    """

    parent: RunId
    from_stage: int
    text: str = ""
    text_sha256: str = ""
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copied:
    """One entity that is taken over.

    Attributes:
        sequence: where it is in the parent, from 1.
        type: what it is here, which is what it is there unless an edited text takes its place.
        pass_number: of a recursive recipe, from 1; 0 otherwise.
        index: of a picture, from 1; 0 for texts.
    """

    sequence: int
    type: str
    pass_number: int = 0
    index: int = 0

    @property
    def upload_id(self) -> str:
        """The name under which a run records such a thing when it makes it itself."""
        if self.index:
            return f"input-image-{self.index}"
        return f"interception-pass-{self.pass_number}" if self.pass_number else self.type


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a run goes on from.

    Attributes:
        parent: the run.
        from_stage: the first stage that is done anew, 2 to 4.
        copies: what is taken over, in the order of the parent.
    """

    parent: RunId
    from_stage: int
    copies: tuple[Copied, ...] = ()

    @property
    def parent_sequence(self) -> int:
        """The last entity that is taken over, by its sequence there; 0 for none."""
        return max((one.sequence for one in self.copies), default=0)

    @property
    def texts(self) -> tuple[Copied, ...]:
        """Texts that are taken over."""
        return tuple(one for one in self.copies if not one.index)

    @property
    def images(self) -> tuple[Copied, ...]:
        """Pictures that are taken over, by index."""
        found = (one for one in self.copies if one.index)
        return tuple(sorted(found, key=lambda one: one.index))

    def source(self, entity_type: str, pass_number: int = 0, index: int = 0) -> str:
        """The name of the entity that such a one is a copy of; empty when it is none."""
        for one in self.copies:
            if (one.type, one.pass_number, one.index) == (entity_type, pass_number, index):
                return f"{self.parent.name}/entities/{one.sequence}"
        return ""
