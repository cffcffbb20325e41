# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `larapee-backup`: launch runs, leave a row for each, tell how the estate's backups stand."""

__version__ = "0.1.0"

__all__ = ("__version__",)
