# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for secrets where they must not be: in what ps shows while a run lasts, and in every file afterwards."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .processes import everything, seen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from types import TracebackType
    from typing import Self

# Outside of the test's directory lie the files of others, whole databases among them.
LARGEST_FOREIGN = 1 << 25
_SHOWN_BY = """\
#!/bin/sh
cat /proc/$$/cmdline /proc/$$/environ >>{log}
exec {real} "$@"
"""


def forms(secret: str) -> set[bytes]:
    """The secret as it is, and as base64 has it at any place of a longer text."""
    found = {secret.encode()}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + secret.encode())
        # The characters at both ends depend on the neighbours too.
        found.add(coded[4:-4])
    return found


class Search:
    """`secrets` by name; `homes` are the files in which they may lie."""

    def __init__(self, secrets: Mapping[str, str], *, homes: Collection[Path]) -> None:
        self._forms = {name: forms(secret) for name, secret in secrets.items()}
        self._homes = set(homes)
        self._since = time.time() - 1

    def names_in(self, content: bytes) -> list[str]:
        return [name for name, wanted in self._forms.items() if any(form in content for form in wanted)]

    def files(self, directory: Path) -> dict[str, list[str]]:
        """The files below the directory that hold a secret, and which."""
        found = {}
        for path in _files_below(directory):
            if path not in self._homes:
                with contextlib.suppress(FileNotFoundError):
                    names = self.names_in(path.read_bytes()) + self.names_in(str(path).encode())
                    if names:
                        found[str(path)] = names
        return found

    def foreign_files(self) -> dict[str, list[str]]:
        """The same for what appeared since in the places that everybody may write to, but for the tests' own."""
        found = {}
        for top in {Path("/tmp"), Path("/var/tmp"), Path(tempfile.gettempdir()), Path.home() / ".ansible" / "tmp"}:
            for path in _files_below(top):
                if any(part.startswith("pytest-of-") for part in path.parts):
                    continue
                with contextlib.suppress(OSError):
                    status = path.stat()
                    if status.st_mtime >= self._since and status.st_size < LARGEST_FOREIGN:
                        names = self.names_in(path.read_bytes())
                        if names:
                            found[str(path)] = names
        return found


class Watch:
    """While entered, looks at every process, and at files that may live for an instant only, again and again."""

    def __init__(self, search: Search, *directories: Path) -> None:
        self._search = search
        self._directories = directories
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.found: dict[str, list[str]] = {}
        self.rounds = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.001):
            for pid in everything():
                content = seen(pid)
                names = self._search.names_in(content)
                if names:
                    self.found[content[:200].replace(b"\0", b" ").decode("utf-8", "replace")] = names
            for directory in self._directories:
                self.found |= self._search.files(directory)
            self.rounds += 1


def show_programs(names: Collection[str], *, directory: Path, log: Path) -> None:
    """Put a program before each of these, that writes down what ps would show of it, however short its life."""
    for name in names:
        real = shutil.which(name)
        assert real is not None, f"{name} is not installed"
        path = directory / name
        path.write_text(_SHOWN_BY.format(log=log, real=real), encoding="utf-8")
        path.chmod(0o700)


def _files_below(top: Path) -> Iterator[Path]:
    for directory, _directories, files in os.walk(top):
        for name in files:
            path = Path(directory, name)
            # Reading a pipe or a socket would wait for its other end.
            if path.is_file() and not path.is_symlink():
                yield path


__all__ = ("Search", "Watch", "show_programs")
