# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What central's timers brought, adopted, verified and copied on, told by stock tools only; no test starts a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from testinfra.host import Host

BRANCHES = "/srv/backups/larapee/branches"
CHECK = """
set -eu
cd "$1"
signers=/etc/larapee-backup/allowed_signers
for manifest in *.manifest.json; do
  ssh-keygen -Y verify -f $signers -I "$2" -n larapee-backup -s "$manifest.sig" <"$manifest" >/dev/null
  echo "${manifest%.manifest.json}"
done
"""


@pytest.mark.parametrize("kind", ["sync", "offsite", "verify"])
def test_central_has_a_successful_row_of_each_kind_for_each_branch(
    central: Host,
    code: str,
    kind: str,
    rows: Callable[[Host, str, str], list[dict[str, Any]]],
    wait_for: Callable[[str, Callable[[], object], float], object],
) -> None:
    def succeeded() -> list[dict[str, Any]]:
        return [row for row in rows(central, kind, code) if row["status"] == "success" and row["launcher"] == "timer"]

    wait_for(f"a successful {kind} of {code} at central", succeeded, 300)


def test_what_was_adopted_is_roots_signed_and_complete(
    central: Host, code: str, wait_for: Callable[[str, Callable[[], object], float], object]
) -> None:
    place = f"{BRANCHES}/{code}"
    wanted = {"db_full", "db_increment", "files_full", "config"}

    def kinds() -> bool:
        names = central.run("ls %s", place).stdout.splitlines()
        manifests = [name for name in names if name.endswith(".manifest.json")]
        return wanted <= {json.loads(central.file(f"{place}/{name}").content_string)["kind"] for name in manifests}

    wait_for(f"artifacts of each kind of {code} at central", kinds, 300)
    done = central.run("sh -c %s sh %s %s", CHECK, place, code)
    assert done.rc == 0, done.stderr
    assert central.check_output(f"find {place} ! -user root -o -type f -perm /077") == ""
    assert central.run("cd %s && sha256sum --check --quiet SHA256SUMS", place).rc == 0


def test_the_branch_knows_what_central_holds(
    branch: Host, code: str, wait_for: Callable[[str, Callable[[], object], float], object]
) -> None:
    path = f"/var/lib/larapee-backup/acknowledged/{code}.json"
    wait_for(f"an acknowledgement on {code}", lambda: branch.file(path).exists, 240)
    assert json.loads(branch.file(path).content_string)["artifacts"]


def test_rows_of_the_branch_are_at_central(
    central: Host,
    code: str,
    rows: Callable[[Host, str, str], list[dict[str, Any]]],
    wait_for: Callable[[str, Callable[[], object], float], object],
) -> None:
    wait_for(f"the log runs of {code} at central", lambda: rows(central, "log", code), 240)
