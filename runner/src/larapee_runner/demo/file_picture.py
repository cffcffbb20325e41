# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What directories hold, asked of cp, find and diff: nothing here knows how our backups are made."""

from __future__ import annotations

import os
import subprocess  # noqa: S404  # stock tools; every argv is a list
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import DemoError
from .programs import find_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

# Type, mode, owner, size, hard links, time. A directory's size and links are the file system's affair.
FIELDS = r"%p\0%y %m %U:%G %s %n %T@\0%l\0"
DIRECTORY_FIELDS = r"%p\0%y %m %U:%G - - %T@\0%l\0"
KINDS = {"f": ("file", "files"), "d": ("directory", "directories"), "l": ("symbolic link", "symbolic links")}
DIFF_DIFFERS, DIFF_TROUBLE = 1, 2


@dataclass(frozen=True)
class FilePicture:
    """One moment of some paths below a root: a copy kept aside, and a listing of everything but contents."""

    paths: tuple[str, ...]
    copy: Path
    listing: Path
    counts: Counter[str]
    size: int

    @property
    def entries(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        return ", ".join(f"{count} {names[count > 1]}" for kind, names in KINDS.items() if (count := self.counts[kind]))


def _run(
    arguments: Sequence[str | Path], *, cwd: Path, good: Sequence[int] = (0,)
) -> subprocess.CompletedProcess[bytes]:
    program = find_program(str(arguments[0]), package="coreutils diffutils findutils")
    done = subprocess.run(  # noqa: S603
        [program, *arguments[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    if done.returncode not in good:
        cause = " ".join(_text(done.stderr).split()) or f"exit code {done.returncode}"
        msg = f"Failed to compare files in {cwd}: {arguments[0]} says: {cause}. Look at what is missing there."
        raise DemoError(msg)
    return done


def _text(output: bytes) -> str:
    return output.decode("utf-8", errors="backslashreplace")


def _list(root: Path, paths: Sequence[str]) -> list[tuple[bytes, bytes, bytes]]:
    """Path, attributes and target of each entry, sorted: find gives them as the directory has them."""
    output = _run(
        ["find", *paths, "(", "-type", "d", "-printf", DIRECTORY_FIELDS, ")", "-o", "-printf", FIELDS], cwd=root
    ).stdout
    fields = output.split(b"\0")[:-1]
    return sorted(zip(fields[::3], fields[1::3], fields[2::3], strict=True))


def _write(listing: Path, entries: Iterable[tuple[bytes, bytes, bytes]]) -> None:
    listing.write_bytes(b"".join(b"\t".join(entry) + b"\n" for entry in entries))


def _below(paths: Sequence[str]) -> tuple[str, ...]:
    """With ./ before it, no name looks like an option."""
    return tuple(f"./{path}" if path != "." else path for path in paths)


def take_file_picture(root: Path, paths: Sequence[str], *, aside: Path) -> FilePicture:
    """`paths` are relative to `root`; `aside` is a directory that does not exist yet."""
    below = _below(paths)
    copy, listing = aside / "copy", aside / "listing.txt"
    copy.mkdir(parents=True)
    _run(["cp", "--archive", "--parents", "--", *below, copy], cwd=root)
    entries = _list(root, below)
    _write(listing, entries)
    attributes = [_text(entry[1]).split() for entry in entries]
    return FilePicture(
        paths=below,
        copy=copy,
        listing=listing,
        counts=Counter(kind for kind, *_rest in attributes),
        size=sum(int(size) for kind, _mode, _owner, size, *_rest in attributes if kind == "f"),
    )


def file_differences(before: FilePicture, root: Path, *, aside: Path) -> list[str]:
    """Empty means equal: contents by diff -r, everything else by two listings of find."""
    if not before.counts["f"]:
        return ["nothing was compared: the first picture holds no file"]
    found = []
    for path in before.paths:
        missing = [str(side) for side in (before.copy, root) if not os.path.lexists(side / path)]
        if missing:
            found += [f"{path} is not in {side}" for side in missing]
            continue
        # Trouble is a difference too, and diff names it: a file that cannot be read, for one.
        done = _run(
            ["diff", "--recursive", "--no-dereference", "--brief", before.copy / path, root / path],
            cwd=root,
            good=(0, DIFF_DIFFERS, DIFF_TROUBLE),
        )
        found += _text(done.stdout + done.stderr).splitlines()
        if done.returncode and not found:
            found.append(f"diff ended with exit code {done.returncode} and said nothing about {path}")
    if found:
        return found
    aside.mkdir(parents=True, exist_ok=True)
    listing = aside / "listing-after.txt"
    _write(listing, _list(root, before.paths))
    done = _run(["diff", "--text", "--unified=0", before.listing, listing], cwd=root, good=(0, DIFF_DIFFERS))
    if done.returncode == DIFF_DIFFERS:
        found = [line for line in _text(done.stdout).splitlines()[2:] if not line.startswith("@@")]
    return found


__all__ = ("FilePicture", "file_differences", "take_file_picture")
