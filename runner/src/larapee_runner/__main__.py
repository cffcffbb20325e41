# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from larapee_runner.cli import main

if __name__ == "__main__":
    main()
