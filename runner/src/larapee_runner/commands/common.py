# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import click

from larapee_runner.recorder import RecorderError, load_settings

if TYPE_CHECKING:
    from larapee_runner.outcome import ExitCode
    from larapee_runner.recorder import Settings


def fail(error: object, code: ExitCode) -> NoReturn:
    """Say why on standard error, and end."""
    click.echo(f"Error: {error}", err=True)
    sys.exit(code)


def settings_or_exit(code: ExitCode) -> Settings:
    """Load the settings; a configuration that cannot be used ends the command."""
    try:
        return load_settings()
    except RecorderError as error:
        fail(error, code)


__all__ = ("fail", "settings_or_exit")
