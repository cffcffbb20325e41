# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import sys

import click

from larapee_runner.cli import Voice
from larapee_runner.commands.common import settings_or_exit
from larapee_runner.outcome import ExitCode
from larapee_runner.progress import reporter_for
from larapee_runner.run import Request, Run
from larapee_runner.summary import show_summary


@click.command(short_help="Run a playbook, and leave a row for it.")
@click.argument("playbook")
@click.option("-i", "--inventory", "inventories", multiple=True, metavar="PATH", help="Inventory file or directory.")
@click.option("-l", "--limit", metavar="PATTERN", help="Only these hosts of the inventory.")
@click.option(
    "-e", "--extra-vars", "extra_vars", multiple=True, metavar="K=V|@FILE|{JSON}", help="Variables, as ansible."
)
@click.option("--check", is_flag=True, help="Change nothing, tell what would be done.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="S", help="End the run after S seconds."
)
@click.option("--pass-env", multiple=True, metavar="NAME", help="Hand this variable on too; most are held back.")
@click.option("-v", "--verbose", "more", count=True, help="Show ansible's own output.")
@click.pass_obj
def run(
    voice: Voice,
    *,
    playbook: str,
    inventories: tuple[str, ...],
    limit: str | None,
    extra_vars: tuple[str, ...],
    check: bool,
    timeout: float | None,
    pass_env: tuple[str, ...],
    more: int,
) -> None:
    """Run PLAYBOOK, a path or a collection's name such as larapee.backup.branch_backup.

    Relative paths are relative to the directory you are in; its ansible.cfg governs. Secrets belong in files
    (-e @FILE, option files, key files): what is given as -e K=V can be seen in the list of processes.
    """
    verbosity = 0 if voice.quiet else voice.verbose + more
    settings = settings_or_exit(ExitCode.NOT_STARTED)
    request = Request(
        playbook=playbook,
        inventories=inventories,
        limit=limit,
        extra_vars=extra_vars,
        check=check,
        timeout_s=timeout,
        verbosity=verbosity,
        pass_env=pass_env,
    )
    reporter = reporter_for(quiet=voice.quiet, verbose=verbosity > 0)
    report = Run(request, settings, reporter=reporter).execute()
    show_summary(report, quiet=voice.quiet, verbose=verbosity > 0)
    sys.exit(report.code)


__all__ = ("run",)
