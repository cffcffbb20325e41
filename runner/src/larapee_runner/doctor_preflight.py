# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection's preflight says of the files that lie beside the configuration, without starting ansible."""

from __future__ import annotations

import json
import subprocess  # noqa: S404 - argv lists of our own only
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .recorder import Settings

PROBE_TIMEOUT_S = 60
SEARCH_S = 20
# Of all checks those that need no inventory. The others are the playbooks' that prepare a host.
LOOKED_AT = ("identities", "option_files", "runs_tls", "shared_keys")
# The collection stays out of this process: its version may be another.
EXAMINE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.larapee.backup.plugins.module_utils._preflight import examine
from ansible_collections.larapee.backup.plugins.module_utils._preflight_request import PreflightRequest
outcome = examine(PreflightRequest(**json.load(sys.stdin)))
json.dump([[each.check, each.state, each.message] for each in outcome.findings], sys.stdout)
"""


def findings(collection: Path, settings: Settings) -> list[tuple[str, str, str]]:
    """Check, state and message of each finding; raises OSError or ValueError when the preflight cannot be run."""
    argv = [sys.executable, "-I", "-c", EXAMINE, str(collection.parents[2])]
    done = subprocess.run(  # noqa: S603 - our own interpreter, a fixed program
        argv,
        input=json.dumps(_request(settings)),
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return [(check, state, message) for check, state, message in json.loads(done.stdout) if check in LOOKED_AT]


def _request(settings: Settings) -> dict[str, Any]:
    beside = settings.config_path.parent
    on_central = (beside / "ssh" / "pull_key").is_dir()
    secrets = [*beside.glob("*.cnf"), *beside.glob("s3/*.ini"), beside / "signing_key"]
    request: dict[str, Any] = {
        "side": "central" if on_central else "branch",
        "search_paths": [str(beside), str(settings.state_path)],
        "search_seconds": SEARCH_S,
        "private_files": [str(path) for path in secrets if path.exists()],
        "runs_url": settings.runs_url,
    }
    if on_central:
        keys = (beside / "ssh" / name for name in ("pull_key", "acknowledge_key"))
        request["key_directories"] = [str(path) for path in keys if path.is_dir()]
        files = {"allowed_signers": beside / "allowed_signers", "known_hosts": beside / "ssh" / "known_hosts"}
        request |= {name: str(path) for name, path in files.items() if path.exists()}
    return request


__all__ = ("LOOKED_AT", "findings")
