"""A file system that forgets: what was not synced may be gone when the power goes.

Every file and every folder has what its users see and what the medium holds. In between lie the
changes nobody synced yet. POSIX promises nothing about those: each name of a folder may be any of
the things it was since the folder was synced, each write to a file may be there, be torn, or not.
Syncing a file says nothing about its name, syncing a folder nothing about the content of its
files, and a rename between folders is two changes, of which the old name's comes second: no file
system in use (journals, soft updates, copies on write) loses a file because it was moved.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = 1


@dataclass
class File:
    """Bytes; of `pending`, a write has data and a truncation has None."""

    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def change(self, at: int, data: bytes | None) -> None:
        """Write at an offset, or truncate to a size."""
        _change(self.data, at, data)
        self.pending.append((at, data))

    def sync(self) -> None:
        """Apply what is pending; what a failed sync has dropped stays lost."""
        for at, data in self.pending:
            _change(self.durable, at, data)
        self.pending.clear()

    def survivor(self, chance: random.Random | None) -> File:
        """What the medium holds after the power was gone."""
        left = bytearray(self.durable)
        kept = 0.0 if chance is None else chance.choice([0.0, 0.5, 1.0])
        for at, data in self.pending:
            if chance is None or chance.random() >= kept:
                continue
            if data and kept < 1.0:  # torn
                data = data[: chance.randint(1, len(data))]
            _change(left, at, data)
        return File(bytearray(left), left)


@dataclass
class Folder:
    """Names of nodes; of `pending`, each name has everything it was since the last sync."""

    names: dict[str, int] = field(default_factory=dict)
    durable: dict[str, int] = field(default_factory=dict)
    pending: dict[str, list[int | None]] = field(default_factory=dict)

    def change(self, name: str, node: int | None) -> None:
        """Let a name mean a node, or nothing."""
        if node is None:
            del self.names[name]
        else:
            self.names[name] = node
        self.pending.setdefault(name, []).append(node)

    def sync(self) -> None:
        """Make all names durable."""
        self.durable = dict(self.names)
        self.pending.clear()

    def sync_name(self, name: str) -> None:
        """Make one name durable."""
        self.durable[name] = self.names[name]
        self.pending.pop(name, None)

    def survivor(self, chance: random.Random | None) -> dict[str, int]:
        """The names the medium holds after the power was gone."""
        left: dict[str, int | None] = dict(self.durable)
        for name, values in self.pending.items() if chance is not None else ():
            left[name] = chance.choice([self.durable.get(name), *values]) if chance else None
        return {name: node for name, node in left.items() if node is not None}


@dataclass(frozen=True)
class _Move:
    node: int
    parent: int
    name: str
    to: int
    new_name: str


class LossyDisk:
    """A tree of files and folders, addressed by node number."""

    def __init__(self) -> None:
        self.nodes: dict[int, File | Folder] = {ROOT: Folder()}
        self._next = ROOT + 1
        self._moves: list[_Move] = []

    # What a program can do

    def file(self, node: int) -> File:
        """A node that is a file. Raises OSError EISDIR."""
        found = self.nodes[node]
        if isinstance(found, Folder):
            raise _error(errno.EISDIR)
        return found

    def folder(self, node: int) -> Folder:
        """A node that is a folder. Raises OSError ENOTDIR."""
        found = self.nodes[node]
        if isinstance(found, File):
            raise _error(errno.ENOTDIR)
        return found

    def lookup(self, parent: int, name: str) -> int:
        """The node of a name. Raises OSError ENOENT, ENOTDIR."""
        if name == ".":
            return parent
        try:
            return self.folder(parent).names[name]
        except KeyError:
            raise _error(errno.ENOENT) from None

    def create(self, parent: int, name: str) -> int:
        """Make an empty file. Raises OSError EEXIST."""
        return self._add(parent, name, File())

    def mkdir(self, parent: int, name: str) -> int:
        """Make an empty folder. Raises OSError EEXIST."""
        return self._add(parent, name, Folder())

    def write(self, node: int, at: int, data: bytes) -> int:
        """Write; returns the number of bytes."""
        self.file(node).change(at, data)
        return len(data)

    def truncate(self, node: int, size: int) -> None:
        """Cut a file off or fill it with zeros."""
        self.file(node).change(size, None)

    def unlink(self, parent: int, name: str) -> None:
        """Take a file's name away. Raises OSError EISDIR."""
        self.file(self.lookup(parent, name))
        self.folder(parent).change(name, None)

    def rmdir(self, parent: int, name: str) -> None:
        """Take an empty folder away. Raises OSError ENOTEMPTY."""
        if self.folder(self.lookup(parent, name)).names:
            raise _error(errno.ENOTEMPTY)
        self.folder(parent).change(name, None)

    def rename(self, parent: int, name: str, to: int, new_name: str) -> None:
        """Move a file or a folder; replaces a file of that name."""
        node = self.lookup(parent, name)
        there = self.folder(to).names.get(new_name)
        if there is not None:
            self.file(there)
        self.folder(to).change(new_name, node)
        self.folder(parent).change(name, None)
        if parent != to:
            self._moves.append(_Move(node, parent, name, to, new_name))

    def sync(self, node: int) -> None:
        """fsync of a file or a folder."""
        for move in self._moves:
            if move.parent == node and self.folder(move.to).names.get(move.new_name) == move.node:
                self.folder(move.to).sync_name(move.new_name)
        self._moves = [move for move in self._moves if node not in (move.parent, move.to)]
        self.nodes[node].sync()

    def fail_sync(self, node: int) -> None:
        """What an fsync that answered EIO has done: dirty pages of a file are dropped."""
        found = self.nodes[node]
        if isinstance(found, File):
            found.pending.clear()

    # What happens to it

    def after_power_loss(self, chance: random.Random | None) -> LossyDisk:
        """What is left; without `chance` only what was synced."""
        names = {
            node: found.survivor(chance)
            for node, found in self.nodes.items()
            if isinstance(found, Folder)
        }
        for move in self._moves:
            source = self.folder(move.parent).durable.get(move.name)
            if source == move.node and not any(move.node in one.values() for one in names.values()):
                names[move.parent][move.name] = move.node
        left = LossyDisk()
        left._copy(self, names, ROOT, ROOT, chance)
        return left

    def walk(self, node: int = ROOT, under: Path = Path()) -> Iterator[tuple[Path, bytes | None]]:
        """Every path with its content; None for folders, which come before what they hold."""
        for name, inner in sorted(self.folder(node).names.items()):
            found = self.nodes[inner]
            yield under / name, bytes(found.data) if isinstance(found, File) else None
            if isinstance(found, Folder):
                yield from self.walk(inner, under / name)

    def subtree(self, name: str) -> LossyDisk | None:
        """A copy of one folder of the top as a disk of its own; None when it is not there."""
        if name not in self.folder(ROOT).names:
            return None
        left = LossyDisk()
        names = {
            node: dict(found.names)
            for node, found in self.nodes.items()
            if isinstance(found, Folder)
        }
        left._copy(self, names, self.lookup(ROOT, name), ROOT, None)
        return left

    def _add(self, parent: int, name: str, made: File | Folder) -> int:
        folder = self.folder(parent)
        if name in folder.names:
            raise _error(errno.EEXIST)
        node, self._next = self._next, self._next + 1
        self.nodes[node] = made
        folder.change(name, node)
        return node

    def _copy(
        self,
        old: LossyDisk,
        names: dict[int, dict[str, int]],
        node: int,
        to: int,
        chance: random.Random | None,
    ) -> None:
        for name, inner in sorted(names[node].items()):
            found = old.nodes[inner]
            if isinstance(found, File):
                self.nodes[self._add(to, name, File())] = found.survivor(chance)
            else:
                self._copy(old, names, inner, self.mkdir(to, name), chance)
        self.sync(to)


def _change(content: bytearray, at: int, data: bytes | None) -> None:
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    if data is None:
        del content[at:]
    else:
        content[at : at + len(data)] = data


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
