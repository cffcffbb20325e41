# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each full truly reaches, by trying every way: no GTID, position or number is read. To compare the chain with."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pitr.lives import Life


@dataclasses.dataclass(frozen=True)
class Way:
    """A way from a full through increments, and the data that it restores.

    ``ends``: nothing is known to follow. What says that it continues a full may be of a branch that went back.
    """

    names: tuple[str, ...]
    data: tuple[int, ...]
    ends: bool


@dataclasses.dataclass
class Oracle:
    """``present`` are the artifacts at the place, ``damaged`` those of them that cannot be restored."""

    life: Life
    present: frozenset[str]
    damaged: frozenset[str]

    def ways(self, full: str) -> list[Way]:
        """All of them, shorter ones too."""
        found = [Way((), self.life.fulls[full].transactions, ends=not any(self._first(full)))]
        for name, data in self._first(full):
            found += self._further((name,), data)
        return found

    def _further(self, names: tuple[str, ...], data: tuple[int, ...]) -> Iterator[Way]:
        following = [each for each in self._usable() if self.follows(names[-1], each)]
        yield Way(names, data, ends=all(self._previous(each) in self.life.fulls for each in following))
        for each in following:
            yield from self._further((*names, each), data + self._data(each))

    def _first(self, full: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The increments with the file in which the full stands, and what they bring it to."""
        truth = self.life.fulls[full]
        begun = truth.file.transactions
        for name in self._usable():
            files = self.life.increments[name]
            for index, each in enumerate(files):
                same = each.uid == truth.file.uid and each.transactions[: len(begun)] == begun
                if same and self._epoch(name) == self._epoch(full):
                    rest = sum((later.transactions for later in files[index + 1 :]), ())
                    yield name, truth.transactions + each.transactions[len(begun) :] + rest

    def follows(self, before: str, after: str) -> bool:
        """Whether the server wrote *after* right behind *before*.

        An increment whose predecessor is gone, and was another one, is not trusted: that is how a rollback looks too.
        """
        previous = self._previous(after)
        known = previous in self.present or previous in self.life.fulls
        truly = self.life.increments[after][0].after == self.life.increments[before][-1].content
        return known and truly and self._epoch(before) == self._epoch(after)

    def _previous(self, name: str) -> str:
        return str(self.life.place[name].document["previous"])

    def _usable(self) -> Iterator[str]:
        return (name for name in self.life.increments if name in self.present and name not in self.damaged)

    def _data(self, name: str) -> tuple[int, ...]:
        return sum((each.transactions for each in self.life.increments[name]), ())

    def _epoch(self, name: str) -> str:
        return self.life.place[name].epoch
