# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries everything that would change the directories of its arguments; prints what was not refused.

A program of its own, started as the account that attacks.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def on_a_file(path: Path, aside: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "write", lambda: path.open("r+b").close()
    yield "append", lambda: path.open("ab").close()
    yield "truncate", lambda: os.truncate(path, 0)
    yield "replace", lambda: os.replace(aside, path)
    yield "rename", lambda: path.rename(path.with_name("elsewhere"))
    yield "take away", lambda: path.rename(aside.with_name("taken"))
    yield "link to write", lambda: os.link(path, aside.with_name("linked"))
    yield "mode", lambda: path.chmod(0o666)
    yield "owner", lambda: os.chown(path, os.getuid(), os.getgid())
    yield "times", lambda: os.utime(path, (0, 0))
    yield "attribute", lambda: os.setxattr(path, "user.larapee", b"1")
    yield "delete", path.unlink


def on_a_directory(path: Path, aside: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "add a file", lambda: (path / "added").write_bytes(b"1")
    yield "add a link", lambda: (path / "added-link").symlink_to("/etc/passwd")
    yield "add a directory", lambda: (path / "added-directory").mkdir()
    yield "move in", lambda: aside.rename(path / aside.name)
    yield "mode of the directory", lambda: path.chmod(0o777)
    yield "rename the directory", lambda: path.rename(path.with_name("elsewhere"))
    yield "take the directory away", lambda: path.rename(aside.with_name("taken-directory"))
    yield "remove the directory", lambda: shutil.rmtree(path)


def main(scratch: Path, listed: str, directories: list[Path]) -> None:
    succeeded, refused = [], 0
    aside = scratch / "aside"
    aside.write_bytes(b"forged")
    names = Path(listed).read_text().split()
    for directory in directories:
        attempts = []
        for number, name in enumerate(names):
            # Each file meets another attempt first: what is gone cannot be attacked again.
            on_this = [(directory / name, *each) for each in on_a_file(directory / name, aside)]
            attempts += on_this[number:] + on_this[:number]
        attempts += [(directory, *each) for each in on_a_directory(directory, aside)]
        for path, what, attempt in attempts:
            try:
                attempt()
            except OSError:
                refused += 1
            else:
                succeeded.append(f"{what}: {path}")
    sys.stdout.write("\n".join([str(refused), *succeeded]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [Path(each) for each in sys.argv[3:]])
