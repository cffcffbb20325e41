# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compressors and decompressors: which command, with which arguments.

gzip format is made by igzip where it is installed: a tenth of gzip's CPU time for about a tenth more bytes (its level 3
takes half as much time again for 2 % fewer bytes: docs/benchmark.md).

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import _process
from ._pipeline import Command

FORMATS: t.Final = ("gzip", "zstd")

_GZIP_MAKERS: t.Final = (("igzip", ("-2", "-c")), ("pigz", ("-6", "-c")), ("gzip", ("-6", "-c")))


def compressor(compression: str) -> Command:
    """Return the stage that compresses standard input; raise BackupError when no command for it is installed."""
    if compression == "zstd":
        return Command("zstd", (_process.find_tool("zstd"), "-q", "-c", "-T0", "-3"))
    for name, arguments in _GZIP_MAKERS:
        if _process.has_tool(name):
            return Command(name, (_process.find_tool(name), *arguments))
    return Command("gzip", (_process.find_tool("gzip"), "-6", "-c"))


def decompressor(compression: str) -> Command:
    """Return the stage that decompresses standard input, with the command's own integrity check."""
    if compression == "zstd":
        return Command("zstd", (_process.find_tool("zstd"), "-q", "-d", "-c"))
    return Command("gzip", (_process.find_tool("gzip"), "-d", "-c"))


__all__ = ("FORMATS", "compressor", "decompressor")
