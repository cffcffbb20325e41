# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The key that a branch signs its manifests with, and its public half beside it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import os
import typing as t

from . import _io, _rotation, _signature, _signers
from ._errors import BackupError
from ._key_pair import make_pair, public_half
from ._rotation import Slot

# A run that began under the old key may end under the new one, and its manifest tells when it began.
LEEWAY = dt.timedelta(days=1)


def slot(path: str, branch: str) -> Slot:
    return Slot(path, f"{path}.next", f"{path}.old", comment=branch)


def ensure(key: Slot, *, owner: str | None, check_mode: bool) -> bool:
    """Make the key if it is missing, and its public half if that is missing or another's."""
    there = os.path.lexists(key.current)
    if there and _is_public_right(key):
        return False
    if not check_mode:
        make_pair(key.current, comment=key.comment, owner=owner)
        _write_public(key)
    return True


def switch(key: Slot) -> None:
    """Put the following key into use. ssh-keygen signs with a key that has no public half beside it, but with no
    key that has another's: so that goes first."""
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_public(key))
            _io.fsync_directory(os.path.dirname(key.current))
        _rotation.switch(key)
        _write_public(key)
    except OSError as exc:
        raise BackupError(
            f"Failed to put the new signing key {key.current} into use: {exc.strerror}. Run the rotation again.",
            reason="key_not_made",
        ) from exc


def finish(key: Slot) -> None:
    """Remove the key before. Its end has to stand in each ``allowed_signers`` by then."""
    if not _is_public_right(key):
        # A switch died before it wrote that.
        _write_public(key)
    _rotation.finish(key)


def facts(key: Slot) -> dict[str, t.Any]:
    """Which keys there are, and the times between which their signatures count."""
    publics = _rotation.publics(key)
    found: dict[str, t.Any] = {
        "public": publics["current"],
        "since": _signers.format_time(_time(os.stat(key.current).st_mtime)),
    }
    if "next" in publics:
        canary = f"larapee-backup {key.comment} {publics['next']}\n"
        found["next"] = {
            "public": publics["next"],
            "valid_after": _signers.format_time(_time(os.stat(key.next).st_mtime) - LEEWAY),
            "canary": canary,
            "signature": _signature.sign(canary.encode(), key=key.next).decode("ascii"),
        }
    elif "old" in publics:
        # A rename sets the change time: nothing was signed with the old key after it.
        ended = _time(math.ceil(os.stat(key.current).st_ctime))
        found["old"] = {"public": publics["old"], "valid_before": _signers.format_time(ended)}
    return found


def _is_public_right(key: Slot) -> bool:
    try:
        return _io.read_small(_public(key)).split()[:2] == public_half(key.current).encode().split()
    except FileNotFoundError:
        return False


def _write_public(key: Slot) -> None:
    _io.write_file(_public(key), f"{public_half(key.current)} {key.comment}\n".encode())
    os.chmod(_public(key), 0o644)


def _public(key: Slot) -> str:
    return f"{key.current}.pub"


def _time(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, tz=dt.timezone.utc)


__all__ = ("LEEWAY", "ensure", "facts", "finish", "slot", "switch")
