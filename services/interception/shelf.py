"""All recipes, shipped and of people here, as they are now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from services.interception.domain.recipe import Recipe
from services.interception.local_recipes import LocalRecipes
from services.kit.defects import Defect
from services.kit.log import facts

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0


class RecipeShelf(Mapping[str, Recipe]):
    """Recipes by name. Each look-up sees the folder as it was read last, never half of it."""

    def __init__(self, shipped: Mapping[str, Recipe], local: LocalRecipes | None = None) -> None:
        self._shipped = shipped
        self._local = local
        self._all: Mapping[str, Recipe] = dict(shipped)
        self._defects: tuple[Defect, ...] = ()

    async def refresh(self) -> None:
        """Read the folder again, in a thread, if there is one."""
        if self._local is None:
            return
        if not await asyncio.to_thread(self._local.read):
            return
        known, self._defects = self._defects, self._local.defects
        for defect in self._defects:
            if defect not in known:
                log.warning(
                    "recipe of our own not usable as it is",
                    extra=facts(file=defect.file, field=defect.field, reason=defect.reason),
                )
        # Shipped ones would win; the reader refuses their names, so that nobody wonders.
        self._all = {**self._local.recipes, **self._shipped}
        log.info("recipes of our own read", extra=facts(names=sorted(self._local.recipes)))

    def defect_of(self, name: str) -> Defect | None:
        """What is wrong with the file of a recipe of people here that cannot be used."""
        return next((one for one in self._defects if Path(one.file).stem == name), None)

    async def watch(self) -> None:
        """Read the folder every second, until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.refresh()

    def __getitem__(self, name: str) -> Recipe:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)
