# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The index of an artifact of files, which becomes its encrypted companion: a JSON object a line.

Members in the order of the archive, then what was gone, then what went wrong, then the counts. It grows in nameless
files of the state directory, where the tree's names lie anyway.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import typing as t

from . import _io
from ._digest import Digest


class Index:
    """Use as a context manager. ``entries`` and ``deletions`` count, ``size`` is that of all files (bytes).

    ``plain`` is the digest of what was written.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._files = contextlib.ExitStack()
        self.plain = Digest()
        self.entries = 0
        self.deletions = 0
        self.size = 0

    def __enter__(self) -> Index:
        self._members, self._gone, self._problems = (self._spool() for _each in range(3))
        return self

    def __exit__(self, *_exc: object) -> None:
        # What is still buffered may not fit on a full disk, and is not wanted any more.
        with contextlib.suppress(OSError):
            self._files.close()

    def file(self, path: bytes, status: os.stat_result, *, size: int, sha256: str, torn: bool) -> None:
        self.size += size
        more = f'"size": {size}, "sha256": "{sha256}"' + (', "torn": true' if torn else "")
        self._member(path, "file", status, more)

    def directory(self, path: bytes, status: os.stat_result) -> None:
        self._member(path, "directory", status, "")

    def link(self, path: bytes, status: os.stat_result, kind: str, target: bytes) -> None:
        self._member(path, kind, status, f'"target": {_text(target)}')

    def gone(self, path: bytes) -> None:
        self.deletions += 1
        self._gone.write(f'{{"path": {_text(path)}, "type": "deleted"}}\n'.encode("ascii"))

    def problem(self, path: bytes, what: str, why: str) -> None:
        line = f'{{"path": {_text(path)}, "type": "problem", "what": "{what}", "why": {json.dumps(why)}}}\n'
        self._problems.write(line.encode("ascii"))

    def write_to(self, descriptor: int) -> None:
        """Write all of it, once: the producer of the companion's pipeline."""
        for spool in (self._members, self._gone, self._problems):
            spool.seek(0)
            for block in iter(lambda each=spool: each.read(_io.BLOCK_SIZE), b""):  # type: ignore[misc]
                self._write(descriptor, block)
        end = {"type": "end", "entries": self.entries, "deletions": self.deletions}
        self._write(descriptor, (json.dumps(end) + "\n").encode("ascii"))

    def _member(self, path: bytes, kind: str, status: os.stat_result, more: str) -> None:
        self.entries += 1
        self._members.write(
            f'{{"path": {_text(path)}, "type": "{kind}", "mode": {stat.S_IMODE(status.st_mode)}, '
            f'"uid": {status.st_uid}, "gid": {status.st_gid}, "mtime_ns": {status.st_mtime_ns}'
            f"{', ' if more else ''}{more}}}\n".encode("ascii")
        )

    def _write(self, descriptor: int, block: bytes) -> None:
        view = memoryview(block)
        self.plain.feed(view)
        while view:
            view = view[os.write(descriptor, view) :]

    def _spool(self) -> t.IO[bytes]:
        return self._files.enter_context(tempfile.TemporaryFile(dir=self._directory))  # noqa: SIM115 - just entered


def _text(path: bytes) -> str:
    """*path* in JSON, ASCII only; bytes that are no UTF-8 become lone surrogates."""
    return json.dumps(path.decode("utf-8", "surrogateescape"))


__all__ = ("Index",)
