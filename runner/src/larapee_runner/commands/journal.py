# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from larapee_runner import render
from larapee_runner.commands.common import fail, settings_or_exit
from larapee_runner.history import WITNESSES
from larapee_runner.outcome import ExitCode
from larapee_runner.recorder import Journal, Recorder, RecorderError, owner_is_dead

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1


@click.group(short_help="Show and settle what the table does not have yet.")
def journal() -> None:
    """Show and settle the local journal: what was recorded here and has not reached the table."""


@journal.command(short_help="List the records that wait.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def show(*, as_json: bool) -> None:
    """List the records that wait in the journal; ends with 1 if one is damaged."""
    entries = [_describe(source, path) for source, path in _files()]
    if as_json:
        render.write_json({"schema": SCHEMA, "entries": entries})
    elif entries:
        columns = ("run", "witness", "state", "records", "owner", "file")
        render.show(render.Table("journal", columns, [_cells(entry) for entry in entries]))
    else:
        click.echo("The journal is empty: the table has everything.", err=True)
    sys.exit(ExitCode.FAILED if any(entry["error"] for entry in entries) else ExitCode.OK)


@journal.command(short_help="Write what has ended to the table.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def flush(*, as_json: bool) -> None:
    """Write the journal's records to the table; ends with 1 if some could not be."""
    try:
        result = Recorder(settings_or_exit(ExitCode.FAILED), witness="wrapper").flush()
    except RecorderError as error:
        fail(error, ExitCode.FAILED)
    if as_json:
        render.write_json(
            {"schema": SCHEMA, "flushed": result.flushed, "remaining": result.remaining, "errors": result.errors}
        )
    else:
        render.write_line(f"{result.flushed} flushed, {result.remaining} waiting")
    for text in result.errors:
        click.echo(f"Error: {text}", err=True)
    sys.exit(ExitCode.FAILED if result.errors else ExitCode.OK)


@journal.command(short_help="End the rows of runs that died unseen.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def reconcile(*, as_json: bool) -> None:
    """Turn pending rows of this host whose run is dead into failed ones; a live run is left alone."""
    try:
        lost = Recorder(settings_or_exit(ExitCode.FAILED), witness="wrapper").reconcile()
    except RecorderError as error:
        fail(error, ExitCode.FAILED)
    if as_json:
        render.write_json({"schema": SCHEMA, "lost": [record.to_json() for record in lost]})
    else:
        for record in lost:
            render.write_line(
                render.clean(f"{record.run_id} {record.branch or '-'} {record.kind or '-'}: {record.error}")
            )
        render.write_line(f"{len(lost)} lost run(s) ended")
    sys.exit(ExitCode.OK)


def _files() -> list[tuple[Journal, Path]]:
    state_path = settings_or_exit(ExitCode.FAILED).state_path
    sources = [Journal(state_path, witness=witness) for witness in WITNESSES]
    try:
        return [(source, path) for source in sources for path in source.pending_files()]
    except RecorderError as error:
        fail(error, ExitCode.FAILED)


def _describe(source: Journal, path: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {"run_id": path.stem, "witness": source.witness, "file": str(path), "error": None}
    try:
        read = source.read(path)
    except (RecorderError, FileNotFoundError) as error:
        return {**entry, "finished": None, "owner_alive": None, "records": [], "error": str(error)}
    return {
        **entry,
        "finished": read.is_finished,
        "owner_alive": not owner_is_dead(read),
        "records": [record.to_json() for record in read.records],
    }


def _cells(entry: dict[str, Any]) -> list[render.Cell | str]:
    if entry["error"]:
        return [entry["run_id"], entry["witness"], render.status_cell("failed"), "damaged", "-", entry["file"]]
    state = "ended" if entry["finished"] else "pending"
    records = ", ".join(
        f"{record['branch'] or '-'} {record['kind'] or '-'} {record['status']}" for record in entry["records"]
    )
    owner = "alive" if entry["owner_alive"] else "dead"
    return [entry["run_id"], entry["witness"], render.status_cell(state), records, owner, entry["file"]]


__all__ = ("journal",)
