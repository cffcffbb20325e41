# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same work on two things at a time: hashing and reading let other threads of Python run.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import threading
import typing as t

_I = t.TypeVar("_I")
_O = t.TypeVar("_O")

WIDTH: t.Final = 2


class _Aside(threading.Thread, t.Generic[_I, _O]):
    # A daemon: when this process is told to end, nobody waits for it.
    def __init__(self, work: t.Callable[[_I], _O], item: _I) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._item = item
        self._outcome: list[_O] = []
        self._error: BaseException | None = None
        # Not join: see _pipeline.
        self._ended = threading.Event()

    def run(self) -> None:
        try:
            self._outcome.append(self._work(self._item))
        except BaseException as exc:  # noqa: BLE001 - raised again by outcome, in the caller's thread
            self._error = exc
        finally:
            self._ended.set()

    def outcome(self) -> _O:
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._outcome[0]


def abreast(work: t.Callable[[_I], _O], items: t.Sequence[_I]) -> list[_O]:
    """What *work* makes of each of the one or two *items*, in their order. It must start no process."""
    first, *others = items
    aside = [_Aside(work, item) for item in others]
    for each in aside:
        each.start()
    return [work(first), *(each.outcome() for each in aside)]


__all__ = ("WIDTH", "abreast")
