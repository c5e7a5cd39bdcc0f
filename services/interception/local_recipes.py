"""Recipes that people here wrote, in a folder of their own: read, and read again when they change.

A file that is broken keeps what it last said and stops nothing: somebody is just writing it. What
is wrong is told in the log, and by `artlab check` before anybody relies on it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.interception.catalogue import recipe_of
from services.interception.domain.recipe import Recipe
from services.interception.recipe_file import RecipeFile
from services.kit.catalogue import Defect, parse_document
from services.kit.errors import InvalidArgument
from services.kit.ids import parse_config_name

MAX_RECIPES = 200
MAX_BYTES = 256 * 1024
# Of all files: a list of all recipes must fit into one message of 4 MiB, beside the shipped ones.
MAX_BYTES_OF_ALL = 2 * 1024 * 1024
# A folder with more in it is none of recipes; looking through it would take too long.
MAX_ENTRIES = 2_000
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class _Seen:
    """One file as it was read: how it looked, what it said last that was sound, what is wrong."""

    looks: tuple[int, ...]
    recipe: Recipe | None
    defects: tuple[Defect, ...]


class LocalRecipes:
    """The recipes of one folder. `read` may be called from any one thread at a time.

    Args:
        folder: need not be there at all times; while it is not, what was read stays.
        taken: names that are not to be had, those of the shipped recipes.
    """

    def __init__(self, folder: Path, taken: frozenset[str]) -> None:
        self._folder = folder
        self._taken = taken
        self._seen: dict[str, _Seen] = {}
        self._defects: tuple[Defect, ...] = ()

    @property
    def files(self) -> Mapping[str, Recipe]:
        """What was read last, by the file's name."""
        return {file: seen.recipe for file, seen in self._seen.items() if seen.recipe}

    @property
    def recipes(self) -> Mapping[str, Recipe]:
        """What was read last, by name."""
        return {recipe.name: recipe for recipe in self.files.values()}

    @property
    def defects(self) -> tuple[Defect, ...]:
        """What was wrong when it was read last."""
        return self._defects

    def read(self) -> bool:
        """Look at the folder, read what changed; return whether recipes or defects did."""
        defects: list[Defect] = []
        try:
            found = self._files(defects)
        except OSError as error:
            # What was read stays: the folder may be on a disk that comes back.
            reason = error.strerror or "cannot be read"
            return self._now(self._seen, [Defect(str(self._folder), "", reason)])
        seen: dict[str, _Seen] = {}
        names: set[str] = set()
        for path, looks in found:
            last = self._seen.get(path.name)
            now = last if last and last.looks == looks else self._read_file(path, looks, last)
            if path.stem in names:
                defects.append(Defect(path.name, "", "a second file with this name"))
                continue
            names.add(path.stem)
            seen[path.name] = now
            defects += now.defects
        return self._now(seen, defects)

    def _now(self, seen: dict[str, _Seen], defects: list[Defect]) -> bool:
        before = self.recipes, self._defects
        self._seen, self._defects = seen, tuple(defects)
        return before != (self.recipes, self._defects)

    def _files(self, defects: list[Defect]) -> list[tuple[Path, tuple[int, ...]]]:
        """The files that may be recipes, sorted, each with how it looks."""
        found: list[tuple[Path, tuple[int, ...]]] = []
        with os.scandir(self._folder) as entries:
            for number, entry in enumerate(entries):
                if number >= MAX_ENTRIES:
                    defects.append(
                        Defect(str(self._folder), "", f"more than {MAX_ENTRIES} entries")
                    )
                    break
                path = Path(entry.path)
                if path.suffix not in _SUFFIXES or entry.name.startswith("."):
                    continue
                try:
                    about = entry.stat()
                except OSError as error:
                    defects.append(Defect(entry.name, "", error.strerror or "cannot be read"))
                    continue
                # A pipe or a device would be waited for.
                if stat.S_ISREG(about.st_mode):
                    found.append((path, (about.st_mtime_ns, about.st_size, about.st_ino)))
                else:
                    defects.append(Defect(entry.name, "", "not a file"))
        found.sort()
        if len(found) > MAX_RECIPES:
            reason = f"{len(found)} recipes; only the first {MAX_RECIPES} are read"
            defects.append(Defect(str(self._folder), "", reason))
        return list(_within(MAX_BYTES_OF_ALL, found[:MAX_RECIPES], defects))

    def _read_file(self, path: Path, looks: tuple[int, ...], last: _Seen | None) -> _Seen:
        defects: list[Defect] = []
        recipe = self._parse(path, looks[1], defects)
        if recipe is None and last is not None:
            recipe = last.recipe
        return _Seen(looks, recipe, tuple(defects))

    def _parse(self, path: Path, size: int, defects: list[Defect]) -> Recipe | None:
        try:
            name = parse_config_name(path.stem)
        except InvalidArgument as error:
            defects.append(Defect(path.name, "", f"file name: {error.message}"))
            return None
        if name in self._taken:
            defects.append(Defect(path.name, "", f"file name: {name} is a recipe of Artlab's"))
            return None
        if size > MAX_BYTES:
            defects.append(Defect(path.name, "", f"larger than {MAX_BYTES} bytes"))
            return None
        file = parse_document(path, RecipeFile, defects)
        return recipe_of(name, file, "local") if file is not None else None


def _within(
    limit: int, files: list[tuple[Path, tuple[int, ...]]], defects: list[Defect]
) -> Iterator[tuple[Path, tuple[int, ...]]]:
    """The files up to a size of all together; of the rest it is told that they are too much."""
    total = 0
    for path, looks in files:
        # One that is too large by itself is told as that, and takes no room from others.
        size = looks[1] if looks[1] <= MAX_BYTES else 0
        total += size
        if total > limit:
            total -= size
            defects.append(Defect(path.name, "", f"the recipes together exceed {limit} bytes"))
        else:
            yield path, looks
