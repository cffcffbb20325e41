# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `larapee-backup`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass

import click

from . import __version__

# A command's module is imported when it is called: a run must not pay for the tables of another command.
COMMANDS = {
    "run": "larapee_runner.commands.run:run",
    "status": "larapee_runner.commands.status:status",
    "runs": "larapee_runner.commands.runs:runs",
    "metrics": "larapee_runner.commands.metrics:metrics",
    "journal": "larapee_runner.commands.journal:journal",
    "doctor": "larapee_runner.commands.doctor:doctor",
    "demo": "larapee_runner.demo.story:main",
}
OPTIONAL = frozenset({"demo"})


@dataclass(frozen=True)
class Voice:
    """How much the caller wants to hear."""

    quiet: bool = False
    verbose: int = 0


class LazyGroup(click.Group):
    """Finds its commands by name in COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if name not in OPTIONAL or _is_there(COMMANDS[name])]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = COMMANDS.get(cmd_name)
        if target is None or (cmd_name in OPTIONAL and not _is_there(target)):
            return None
        module, _, attribute = target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{target} is not a command")
        return command


def _is_there(target: str) -> bool:
    try:
        return importlib.util.find_spec(target.partition(":")[0]) is not None
    except ModuleNotFoundError:
        return False


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors.")
@click.option("-v", "--verbose", count=True, help="Show ansible's own output; twice or more also makes it wordier.")
@click.version_option(__version__, prog_name="larapee-backup")
@click.pass_context
def cli(ctx: click.Context, *, quiet: bool, verbose: int) -> None:
    """Take, verify and restore backups of POS branches, and leave a row for every run.

    \b
    Exit codes: 0 all good; 1 the run failed or an objective is broken; 2 wrong usage;
    3 could not start, nothing was done; 4 a host was unreachable; 5 the playbook could
    not be parsed; 8 it ran but could not be recorded anywhere; 124 timed out;
    130, 143 interrupted. Read any other code as a failure.
    """
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other.")
    ctx.obj = Voice(quiet=quiet, verbose=verbose)


def main() -> None:
    """Run the command line."""
    cli(prog_name="larapee-backup")
    sys.exit(0)


__all__ = ("Voice", "cli", "main")
