# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`larapee-backup demo`: a shop is backed up, loses everything, and comes back. Nothing in it is pretended."""

from __future__ import annotations

import secrets
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
import pymysql
from rich.console import Console

from .acts import Acts
from .errors import DemoError
from .farewell import say_farewell
from .launcher import Launcher, find_checkout
from .narrator import Narrator
from .programs import find_program
from .workplace import prepare_workplace

if TYPE_CHECKING:
    from types import FrameType

DEFAULT_ORDERS = 50_000
# Each with the Debian package that has it.
PROGRAMS = {
    "mariadbd": "mariadb-server-core",
    "mariadb-install-db": "mariadb-server-core",
    "mariadb": "mariadb-client",
    "mariadb-dump": "mariadb-client",
    "mariadb-binlog": "mariadb-client",
    "age": "age",
    "age-keygen": "age",
    "ssh-keygen": "openssh-client",
    "gzip": "gzip",
    "zstd": "zstd",
    "cp": "coreutils",
    "sha256sum": "coreutils",
    "diff": "diffutils",
    "find": "findutils",
    "setpriv": "util-linux",
}
STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def _require_programs() -> None:
    missing: dict[str, str] = {}
    for program, package in PROGRAMS.items():
        try:
            find_program(program, package=package)
        except DemoError:
            missing[program] = package
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        msg = f"Failed to start the demo: {', '.join(missing)} not found. As root: apt-get install {packages}."
        raise DemoError(msg)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _play(narrator: Narrator, *, directory: Path, orders: int, seed: int) -> None:
    _require_programs()
    with ExitStack() as stack:
        workplace, lock = prepare_workplace(directory)
        stack.enter_context(lock)
        launcher = Launcher.for_workplace(workplace)
        narrator.say("A shop is backed up, loses everything, and comes back to its last sealed second.", style="bold")
        narrator.say(f"A real server, real orders, the real commands. Seed {seed}; everything lies in {workplace.root}")
        narrator.say()
        acts = Acts(narrator, workplace, launcher, orders=orders, seed=seed)
        with ExitStack() as ending:
            # Whatever ends the story, the servers are stopped before it ends, and no second ^C prevents that.
            for number in (signal.SIGINT, *STOP_SIGNALS):
                ending.callback(signal.signal, number, signal.getsignal(number))
            ending.callback(acts.close)
            for number in (signal.SIGINT, *STOP_SIGNALS):
                ending.callback(signal.signal, number, signal.SIG_IGN)
            for number in STOP_SIGNALS:
                signal.signal(number, _end)
            acts.play()
        say_farewell(narrator, workplace, launcher)


@click.command(short_help="Show a backup, the loss of everything and a restore on a throwaway server.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="DEMO_DIR",
    help="Where everything is made and kept (demo-run below the checkout); an earlier demo there is replaced.",
)
@click.option(
    "--orders",
    type=click.IntRange(min=100, max=1_000_000),
    default=DEFAULT_ORDERS,
    show_default=True,
    help="How many orders the shop has sold before the story begins.",
)
@click.option("--seed", type=click.IntRange(min=0), help="The same seed gives the same shop (a new one each time).")
def main(*, directory: Path | None, orders: int, seed: int | None) -> None:
    """Back up a throwaway shop while it sells, kill its server, destroy data and files, restore all, and compare.

    Exits 0 only if the restored database was proven equal to the lost one at the last sealed transaction, and uploads
    and configuration to a copy of that moment, and if every receipt and slip is accounted for.
    """
    console = Console()
    if directory is None:
        directory = (find_checkout(Path.cwd()) or Path.cwd()) / "demo-run"
    try:
        seed = secrets.randbelow(10**6) if seed is None else seed
        _play(Narrator(console), directory=directory, orders=orders, seed=seed)
    except DemoError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except (pymysql.err.MySQLError, OSError) as error:
        click.echo(
            f"Error: Failed to go on: {error}. Look into {directory}: logs, and mariadbd.log of the servers.", err=True
        )
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("Interrupted: the servers are stopped, what was made is kept.", err=True)
        sys.exit(130)


__all__ = ("main",)
