# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a restore will take here: by the rates of earlier ones on this host, else by careful ones.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from . import _io
from ._errors import BackupError

# Bytes a second, on the slow side of what was measured on two shared cores.
_ASSUMED: t.Final[dict[str, float]] = {
    "choose": 100e6,
    "open": 40e6,
    "walk": 20e6,
    "load": 6e6,
    "replay": 5e6,
    "prove": 20e6,
    "transfer": 6e6,
}
# Steps that take as long however much there is.
_FIXED: t.Final[dict[str, float]] = {"start": 5.0}
# Small restores measure the programs' start, not their speed.
_LEAST_BYTES: t.Final = 4 * 1024**2
_LEAST_SECONDS: t.Final = 0.05


def expected(state_path: str, sizes: t.Mapping[str, int]) -> dict[str, t.Any]:
    """Seconds by step for *sizes* (bytes by step), their sum, and whether the rates were measured on this host."""
    known = _read(state_path)
    steps = {step: round(size / known.get(step, _ASSUMED[step]), 1) for step, size in sizes.items() if step in _ASSUMED}
    steps.update({step: seconds for step, seconds in _FIXED.items() if step in sizes})
    relevant = [step for step, size in sizes.items() if step in _ASSUMED and size >= _LEAST_BYTES]
    measured = all(step in known for step in (relevant or [step for step in sizes if step in _ASSUMED]))
    return {"seconds": round(sum(steps.values()), 1), "steps": steps, "measured": measured}


def note(state_path: str, seconds: t.Mapping[str, float], sizes: t.Mapping[str, int]) -> None:
    """Remember the rates of a restore that succeeded; a state that cannot be written only costs the next estimate."""
    known = _read(state_path)
    for step, size in sizes.items():
        took = seconds.get(step, 0.0)
        if step in _ASSUMED and size >= _LEAST_BYTES and took >= _LEAST_SECONDS:
            known[step] = round(size / took, 1)
    try:
        _io.write_json(_path(state_path), {"bytes_per_second": known})
    except BackupError:
        return


def _read(state_path: str) -> dict[str, float]:
    try:
        rates = _io.read_json(_path(state_path))["bytes_per_second"]
        return {str(step): float(rate) for step, rate in rates.items() if float(rate) > 0}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _path(state_path: str) -> str:
    return os.path.join(state_path, "restore-rates.json")


__all__ = ("expected", "note")
