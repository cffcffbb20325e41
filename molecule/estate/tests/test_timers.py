# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd's timers did on the branches, told by stock tools only; no test starts a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from testinfra.host import Host

LOCAL = "/var/backups/larapee/local"
RUNS = """
import json, sqlite3
runs = sqlite3.connect("file:/var/lib/larapee-backup/runs.sqlite?mode=ro", uri=True)
runs.row_factory = sqlite3.Row
print(json.dumps([dict(row) for row in runs.execute("SELECT * FROM backup_runs ORDER BY started_at")]))
"""
CHECK = f"""
set -eu
cd {LOCAL}
for manifest in *.manifest.json; do
  ssh-keygen -Y verify -f "$2" -I "$1" -n larapee-backup -s "$manifest.sig" <"$manifest" >/dev/null
  artifact=${{manifest%.manifest.json}}
  sum=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["sha256"])' "$manifest")
  echo "$sum  $artifact" | sha256sum --check --quiet
  echo "$artifact"
done
"""


def rows(host: Host, kind: str) -> list[dict[str, Any]]:
    done = host.run("python3 -c %s", RUNS)
    found = json.loads(done.stdout) if done.rc == 0 else []
    return [row for row in found if row["kind"] == kind and row["status"] != "pending"]


def successes(host: Host, kind: str) -> list[dict[str, Any]]:
    return [row for row in rows(host, kind) if row["status"] == "success"]


def kinds(host: Host) -> set[str]:
    names = host.check_output(f"ls {LOCAL}").splitlines()
    manifests = [name for name in names if name.endswith(".manifest.json")]
    return {json.loads(host.file(f"{LOCAL}/{name}").content_string)["kind"] for name in manifests}


@pytest.mark.parametrize("kind", ["full", "log", "increment", "verify"])
def test_timers_leave_successful_rows_of_each_kind(
    branch: Host, code: str, kind: str, wait_for: Callable[[str, Callable[[], object], float], list[dict[str, Any]]]
) -> None:
    wait_for(f"a success of kind {kind} on {code}", lambda: successes(branch, kind), 240)
    found = rows(branch, kind)
    first = min(row["finished_at"] for row in successes(branch, "full"))
    # What no run told itself is a power cut of the tests; and a timer may verify before there is anything.
    bad = [row for row in found if row["status"] != "success" and row["evidence"] == 2]
    assert [row["error"] for row in bad if row["started_at"] > first or "nothing to verify" not in row["error"]] == []
    assert {(row["branch"], row["launcher"]) for row in found} == {(code, "timer")}


def test_artifacts_of_each_kind_are_whole_and_signed_by_the_stock_tools(
    branch: Host, code: str, wait_for: Callable[[str, Callable[[], object], float], object]
) -> None:
    wanted = {"db_full", "db_increment", "files_full", "files_increment", "config"}
    wait_for(f"artifacts of each kind on {code}", lambda: wanted <= kinds(branch), 240)
    done = branch.run("sh -c %s sh %s /etc/larapee-backup/allowed_signers", CHECK, code)
    assert done.rc == 0, done.stderr
    assert len(done.stdout.splitlines()) >= len(wanted)


def test_no_artifact_was_made_by_root(branch: Host) -> None:
    assert branch.check_output(f"find {LOCAL} ! -user larapee-backup") == ""
