# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows name files: sha256sum tells whether each is there, with the content that its row states."""

from __future__ import annotations

import os
import subprocess  # noqa: S404  # a stock tool; the argv is a list of our own
from typing import TYPE_CHECKING

from .errors import DemoError
from .programs import find_program

if TYPE_CHECKING:
    from pathlib import Path

    from .server import ThrowawayServer


def check_references(server: ThrowawayServer, *, database: str, uploads: Path) -> int:
    """Returns how many rows name a file; raises DemoError where a file is not what its row says."""
    connection = server.connect(database=database)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT LOWER(HEX(picture_sha256)), picture_path FROM products WHERE picture_path IS NOT NULL"
                " UNION ALL SELECT LOWER(HEX(sha256)), path FROM payment_slips"
            )
            lines = [f"{digest}  {path}\n" for digest, path in cursor.fetchall()]
    finally:
        connection.close()
    done = subprocess.run(  # noqa: S603
        [find_program("sha256sum", package="coreutils"), "--check", "--strict", "--quiet"],
        input="".join(lines).encode(),
        capture_output=True,
        cwd=uploads,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    if done.returncode != 0:
        told = "; ".join((done.stdout + done.stderr).decode("utf-8", errors="backslashreplace").splitlines()[:12])
        msg = f"Failed to find in {uploads} what the rows of {database} name: {told}. Report this."
        raise DemoError(msg)
    return len(lines)


__all__ = ("check_references",)
