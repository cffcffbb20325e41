# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One archive in a process of its own, as the module runs it; prints what came of it as JSON.

Arguments: the root of a branch's files, the directory of the keys, the recipients; "increment" for one.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from tests.database.estate import Keys
from tests.files.shop_files import ShopFiles


def main() -> int:
    root, keys, first, second, *options = sys.argv[1:]
    shop = ShopFiles(Path(root), Keys(directory=Path(keys), recipients=(first, second)))
    # What the test's own modules take is not what is measured.
    before = _peak_kib()
    result: dict[str, object] = {}
    try:
        with interruptible():
            outcome = shop.archive(increment="increment" in options)
        result = {
            "artifact": outcome.manifest.artifact if outcome.manifest else None,
            "counts": outcome.counts,
            "warnings": outcome.warnings,
            "kib": _peak_kib(),
            "kib_before": before,
        }
        outcome.require_readable()
    except BackupError as exc:
        sys.stdout.write(json.dumps({**result, "reason": exc.reason, "message": str(exc)}))
        return 1
    sys.stdout.write(json.dumps(result))
    return 0


def _peak_kib() -> int:
    # Not ru_maxrss, which begins with what the process that forked this one had.
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


if __name__ == "__main__":
    sys.exit(main())
