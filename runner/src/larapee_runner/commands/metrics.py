# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from larapee_runner import __version__
from larapee_runner.collection import available_kinds, find_collection
from larapee_runner.commands.common import fail, settings_or_exit
from larapee_runner.history import load_history
from larapee_runner.metrics import exposition, write
from larapee_runner.outcome import ExitCode
from larapee_runner.recorder import utc_now
from larapee_runner.status import document


@click.command(short_help="Write what status tells as metrics of Prometheus.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file for the textfile collector, such as /var/lib/prometheus/node-exporter/larapee.prom.",
)
def metrics(*, output: Path | None) -> None:
    """Write what status tells as metrics; ends with 1 when the table could not be read, whatever they say."""
    settings = settings_or_exit(ExitCode.FAILED)
    now = utc_now()
    history = load_history(settings, now=now)
    report = document(
        history.rows,
        now=now,
        available=available_kinds(find_collection(os.environ, Path.cwd())),
        journal_records=history.journal_records,
        table_error=history.table_error,
        coverage_weeks=settings.coverage_weeks,
    )
    text = exposition(report, history.rows, version=__version__)
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            write(output, text)
        except OSError as error:
            words = f"Failed to write {output}: {error.strerror}. Name a file in a directory of this account."
            fail(words, ExitCode.FAILED)
    if history.table_error:
        fail(history.table_error, ExitCode.FAILED)
    sys.exit(ExitCode.OK)


__all__ = ("metrics",)
