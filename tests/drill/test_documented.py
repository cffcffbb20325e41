# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of docs/drill.md, as they stand there."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tests.end_to_end.branch import COMMAND, ROOT

if TYPE_CHECKING:
    from tests.drill.staging import Staging


def test_the_commands_of_the_page(staging: Staging) -> None:
    staging.back_up_all()
    text = (ROOT / "docs" / "drill.md").read_text(encoding="utf-8")
    commands = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert len(commands) == 5
    for command in commands:
        argv = [str(staging.inventory) if word == "hosts.yml" else word for word in shlex.split(command)]
        argv = [*COMMAND, *argv[1:]] if argv[0] == "larapee-backup" else argv
        started = staging.branch.start(*argv, environ=staging.environ)
        assert started.wait() == 0, f"{command}\n{started.output}"
    assert [row.check_mode for row in staging.rows()] == [False, False, True, False, False]
    assert {row.status for row in staging.rows()} == {"success"}
    pages = [line for line in text.splitlines() if line.startswith("| `")]
    drill = next(row for row in staging.rows() if row.kind == "drill")
    names = [each["name"] for each in drill.details["steps"]]
    assert [name for name in names if not any(f"`{name}`" in line for line in pages)] == []
