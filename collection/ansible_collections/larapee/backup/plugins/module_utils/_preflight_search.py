# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Searches configured paths for what opens artifacts: no branch and no central may hold it.

An age identity is a small text file, so only files up to a size are read; nothing is followed, nothing waited for, and
a search that could not come to its end says so.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import re
import stat
import time
import typing as t

from . import _io
from ._preflight_keys import private_blob, public_blob
from ._preflight_request import REFUSED, CannotTell, Found, PreflightRequest
from ._problems import printable

LARGEST_FILE = 64 * 1024
_IDENTITY = re.compile(rb"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{20,}")


def identities(request: PreflightRequest) -> Found:
    if request.side not in ("branch", "central"):
        return
    opening = {public_blob(recipient) for recipient in request.recipients if not recipient.startswith("age1")}
    deadline = time.monotonic() + request.search_seconds
    unread: list[str] = []
    for path in files(request.search_paths, unread, deadline):
        try:
            content = _io.read_small(path, limit=LARGEST_FILE)
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            # Not ours to read; or it grew, or became something else, since it was listed.
            unread.append(path)
            continue
        shown = printable(os.fsencode(path))
        if _IDENTITY.search(content):
            yield (
                REFUSED,
                f"Failed to accept this {request.side}: {shown} holds a private age identity, and with it whoever "
                "takes this machine reads every backup. Move it to the restorer's medium, and change the recipients.",
            )
        elif opening and private_blob(content) in opening:
            yield (
                REFUSED,
                f"Failed to accept this {request.side}: {shown} is the private half of an age recipient. Take that "
                "recipient out, or the key off this machine.",
            )
    if unread:
        raise CannotTell(
            f"Failed to search {len(unread)} place(s) for private identities, {printable(os.fsencode(unread[0]))} "
            f"first: not readable, or not within {request.search_seconds} seconds. Search as root, or give it more "
            "time by larapee_backup_preflight_search_seconds."
        )


def files(paths: t.Iterable[str], unread: list[str], deadline: float) -> t.Iterator[str]:
    """Small regular files at and below *paths*, each once; what could not be listed is added to *unread*."""
    seen = set()
    waiting = [os.path.realpath(path) for path in paths if os.path.lexists(path)]
    while waiting:
        path = waiting.pop()
        if time.monotonic() > deadline:
            unread.append(path)
            return
        try:
            status = os.lstat(path)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            if stat.S_ISDIR(status.st_mode):
                waiting.extend(os.path.join(path, name) for name in os.listdir(path))
            elif stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_FILE:
                yield path
        except FileNotFoundError:
            continue
        except OSError:
            unread.append(path)


__all__ = ("LARGEST_FILE", "files", "identities")
