# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from larapee_runner import render
from larapee_runner.doctor import Surroundings, examine
from larapee_runner.outcome import ExitCode

SCHEMA = 1


@click.command(short_help="Check whether this machine is fit to take backups.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def doctor(*, as_json: bool) -> None:
    """Check tools, configuration, journal, table, collection and clock; ends with 1 if a check fails."""
    checks = examine(Surroundings(os.environ, Path.cwd()))
    fit = all(check.state != "FAIL" for check in checks)
    if as_json:
        render.write_json({"schema": SCHEMA, "ok": fit, "checks": [asdict(check) for check in checks]})
    else:
        columns = ("check", "state", "found", "what to do")
        rows = [(check.name, render.status_cell(check.state), check.detail, check.advice) for check in checks]
        render.show(render.Table("doctor", columns, rows))
    sys.exit(ExitCode.OK if fit else ExitCode.FAILED)


__all__ = ("doctor",)
