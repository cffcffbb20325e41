# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crashes of the server, purged logs, jumps of the clock: what goes on, and what is named as a gap."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _epoch
from ansible_collections.larapee.backup.plugins.module_utils._catalog import read_catalogue
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.database.estate import BRANCH, FakeTools, sql
from tests.pitr.sealing import SealingBranch, picture, require_healed, require_recovered

if TYPE_CHECKING:
    from pathlib import Path

HOUR = dt.timedelta(hours=1)


class Clock:
    """The branch's clock, ahead or behind by ``off``."""

    def __init__(self) -> None:
        self.off = dt.timedelta()

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.off


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    wrong = Clock()
    monkeypatch.setattr(_clock, "now", wrong.now)
    return wrong


def test_purged_before_it_was_sealed(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    last = branch.increment()
    branch.sell()
    lost = list(branch.logs())[-1]
    sql(branch.source, "FLUSH BINARY LOGS")
    branch.sell()
    files, oldest = branch.files(), branch.purge()
    why = f"{lost} was removed before it was sealed, the oldest that the server has is {oldest}"
    assert f"Failed to seal the binary logs of {BRANCH}: {why}." in branch.gap()
    assert branch.files() == files
    assert last.artifact in files
    require_healed(branch, because=why)


def test_a_file_that_only_the_list_of_the_server_still_has(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    branch.increment()
    branch.sell()
    lost = list(branch.logs())[-1]
    sql(branch.source, "FLUSH BINARY LOGS")
    (branch.source.datadir / lost).unlink()
    assert lost in branch.gap()
    require_healed(branch, because=lost)


def test_purged_in_the_moment_of_reading(branch: SealingBranch, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils._seal_spool import LogReader

    branch.full()
    branch.sell()
    lost = list(branch.logs())[-1]
    real = LogReader.fetch

    def fetch(self: LogReader, names: list[str]) -> None:
        branch.purge()
        real(self, names)

    monkeypatch.setattr(LogReader, "fetch", fetch)
    assert f"{lost} was removed before it was sealed" in branch.gap()
    monkeypatch.undo()
    require_healed(branch, because=lost)


def test_a_full_beyond_what_was_purged_goes_on_without_another(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    branch.increment()
    branch.sell()
    sql(branch.source, "FLUSH BINARY LOGS; FLUSH BINARY LOGS")
    later = branch.full()
    assert branch.purge() == later.position["file"]
    branch.sell()
    outcome = branch.seal()
    assert outcome.manifest is not None
    assert outcome.manifest.document["previous"] == later.artifact
    assert any(
        "after a gap" in warning and "was removed before it was sealed" in warning for warning in outcome.warnings
    )
    branch.replay(branch.target, later, [outcome.manifest])
    assert picture(branch.target) == picture(branch.source)


def test_after_a_gap_a_full_is_forced_once_and_then_hourly(branch: SealingBranch, clock: Clock) -> None:
    def lose() -> str:
        branch.sell()
        lost = list(branch.logs())[-1]
        sql(branch.source, "FLUSH BINARY LOGS")
        branch.purge()
        return lost

    branch.full()
    lost = lose()
    assert lost in branch.gap()
    # The full that was asked for did not come about: the next run asks again.
    assert lost in str(branch.seal().needs_full)
    assert lost in str(branch.seal().needs_full)
    branch.full()
    again = lose()
    assert again in branch.gap()
    fulls = len(read_catalogue(str(branch.local)).of_kind("db_full"))
    for _run in range(3):
        said = branch.gap()
        assert again in said
        assert "A full was taken for such a gap less than an hour ago" in said
    clock.off = HOUR
    assert again in str(branch.seal().needs_full)
    assert len(read_catalogue(str(branch.local)).of_kind("db_full")) == fulls
    branch.full()
    # A full by hand, or at night, is as good at any time.
    assert lose() in branch.gap()
    branch.full()
    branch.sell()
    branch.increment()
    # The clock is put right: what was forced in the future holds nothing up.
    clock.off = dt.timedelta()
    lost = lose()
    assert lost in branch.gap()
    assert lost in str(branch.seal().needs_full)


def test_a_restore_makes_the_next_run_take_a_full_at_once(branch: SealingBranch) -> None:
    branch.full()
    for _restore in range(2):
        _epoch.demand(str(branch.state), branch=BRANCH, because="restored from db-1")
        assert branch.seal().needs_full == "restored from db-1"
        branch.full()
        branch.sell()
        branch.increment()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('"$real" "$@"; truncate --size=-47 "$directory/$last"', "bytes came, the server has"),
        ("exit 1", "mariadb-binlog ended with status 1"),
        ('"$real" "$@"; kill -9 $$', "mariadb-binlog was ended by signal 9"),
        ('"$real" "$@"; echo "WARNING: nobody knows this" >&2', "nobody knows this"),
    ],
    ids=["without-the-last-event", "failed", "killed", "said-something"],
)
def test_a_client_that_misbehaves_is_no_gap(
    branch: SealingBranch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    branch.full()
    branch.sell()
    before = branch.files()
    tools = FakeTools(tmp_path / "bin", monkeypatch)
    last = list(branch.logs())[-1]
    directory = branch.state / "spool" / BRANCH
    head = f"real=/usr/bin/mariadb-binlog directory={directory} last={last}"
    version = 'case "$*" in *--version*) exec $real "$@";; esac'
    tools.script("mariadb-binlog", f"{head}\n{version}\n{body}")
    with pytest.raises(BackupError, match=words) as caught:
        branch.seal()
    assert caught.value.reason == "stage_failed"
    assert (branch.files(), branch.left_over()) == (before, [])
    tools.script("mariadb-binlog", 'exec /usr/bin/mariadb-binlog "$@"')
    assert branch.increment().document["transactions"] > 0


@pytest.mark.parametrize("jump", [dt.timedelta(days=-1), dt.timedelta(days=1)], ids=["back", "forward"])
def test_the_clock_of_the_branch_jumps(branch: SealingBranch, clock: Clock, jump: dt.timedelta) -> None:
    """Server and branch have one clock; order is by number, and that time went back is told."""
    full = branch.full()
    branch.sell()
    before = branch.increment()
    clock.off = jump
    seconds = int((dt.datetime.now(dt.UTC) + jump).timestamp())
    sql(
        branch.source,
        f"SET timestamp = {seconds}; INSERT INTO larapos.orders (note) VALUES ('jumped')",
    )
    jumped = branch.seal()
    assert jumped.manifest is not None
    backwards = jump < dt.timedelta()
    assert jumped.manifest.document["time_went_back"] is backwards
    assert any("The clock says" in warning for warning in jumped.warnings) is backwards
    assert (jumped.manifest.created_at < before.created_at) is backwards
    second = branch.full()
    clock.off = dt.timedelta()
    branch.sell()
    after = branch.seal()
    assert after.manifest is not None
    assert after.manifest.document["time_went_back"] is not backwards
    assert after.manifest.sequence == before.sequence + 2
    assert len(require_recovered(branch, full)) == 3
    branch.replay(branch.target, second, [after.manifest])
    assert picture(branch.target) == picture(branch.source)
