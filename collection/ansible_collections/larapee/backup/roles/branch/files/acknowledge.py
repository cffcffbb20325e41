# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What central's second key runs at a branch: note which artifacts central holds, and nothing else.

``python3 -I acknowledge BRANCH`` as a forced command reads a JSON document from standard input and puts it, checked, at
``acknowledged/BRANCH.json`` below the state directory, where retention looks. Standard library only. What it writes
can at most let retention remove old sets that have a better successor here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys

STATE = "/var/lib/larapee-backup"
LIMIT = 8 * 1024 * 1024
SECONDS = 120
BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
NAME = re.compile(
    r"(?:db|public-uploads|config)-\d{8}-\d{4}(?:-\d{2})?\.(?:sql\.gz|sql\.zst|binlog\.zst|incr\.tar\.zst|tar\.zst)(?:\.age)?",
    re.ASCII,
)
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def checked(raw: bytes, branch: str) -> bytes:
    """The document in *raw* as it is written; raises ValueError that says what is wrong with it."""
    if len(raw) > LIMIT:
        raise ValueError(f"it is larger than {LIMIT} bytes")
    try:
        document = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict) or set(document) != {"schema", "branch", "artifacts"}:
        raise ValueError("it does not have the fields schema, branch and artifacts alone")
    schema = document["schema"]
    if not isinstance(schema, int) or isinstance(schema, bool) or schema != 1:
        raise ValueError("its schema is not 1")
    if document["branch"] != branch:
        raise ValueError(f"it is not for {branch}")
    artifacts = document["artifacts"]
    if not isinstance(artifacts, dict):
        raise ValueError("its artifacts are not an object")
    for name, sha256 in artifacts.items():
        if not NAME.fullmatch(name) or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
            raise ValueError("its artifacts are not names with their SHA-256")
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def place(content: bytes, state: str, branch: str) -> None:
    """Replace what was acknowledged before, in one step; a link in the way is replaced, never followed."""
    directory = os.path.join(state, "acknowledged")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    temporary = f".{branch}.json.{os.getpid()}.new"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=parent)
        try:
            with open(descriptor, "wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, f"{branch}.json", src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            os.unlink(temporary, dir_fd=parent)
            raise
        os.fsync(parent)
    finally:
        os.close(parent)


def interrupted(_number: int, _frame: object) -> None:
    raise ValueError(f"it did not come within {SECONDS} seconds")


def main(arguments: list[str]) -> int:
    """*arguments*: the branch's code, for tests also the state directory and the seconds to wait."""
    branch = arguments[0] if arguments else ""
    if not BRANCH.fullmatch(branch):
        sys.stderr.write("Failed to acknowledge: the forced command names no branch. Prepare the branch again.\n")
        return 2
    state = arguments[1] if len(arguments) > 1 else STATE
    signal.signal(signal.SIGALRM, interrupted)
    signal.alarm(int(arguments[2]) if len(arguments) > 2 else SECONDS)
    try:
        content = checked(sys.stdin.buffer.read(LIMIT + 1), branch)
        signal.alarm(0)
        place(content, state, branch)
    except ValueError as exc:
        sys.stderr.write(f"Failed to acknowledge: the document cannot be used, {exc}. Nothing was changed.\n")
        return 1
    except OSError as exc:
        sys.stderr.write(f"Failed to acknowledge: {exc.strerror}. Check the state directory and its free space.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
