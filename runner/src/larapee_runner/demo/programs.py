# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that the demo needs, and a clear word when they are not there."""

from __future__ import annotations

import os
import shutil

from .errors import DemoError

SEARCH_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/libexec", "/usr/local/mysql/bin")


class ServerError(DemoError):
    """The throwaway server could not be installed, started or stopped."""


def find_program(name: str, *, package: str) -> str:
    """Return the program's path; the server's own programs are often outside an ordinary user's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SEARCH_DIRECTORIES])
    found = shutil.which(name, path=path)
    if found is None:
        msg = f"Failed to find {name}: it is not installed. Install it (Debian: apt-get install {package})."
        raise ServerError(msg)
    return found


__all__ = ("ServerError", "find_program")
