# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sealed of a real server's binary logs, looked at by the stock tools, and what is not sealed."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _current, _lock, _manifest, _seal
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._tip import TipRequest, write_tip
from larapee_runner.demo.server import ThrowawayServer
from tests.database.estate import BRANCH, DATABASE, sql
from tests.pitr.sealing import NEVER_EXPIRES, PASSWORD, SealingBranch, lines, picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.database.estate import Keys


@pytest.fixture
def branch(source: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path: Path) -> SealingBranch:
    return SealingBranch(source=source, target=target, keys=keys, root=tmp_path)


def test_the_servers_own_files_are_sealed_byte_for_byte(branch: SealingBranch) -> None:
    full = branch.full()
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    branch.sell(3)
    made = branch.increment()
    files = branch.unpack(made)
    closed = list(branch.logs())[:-1]
    assert list(files) == closed[closed.index(full.position["file"]) :]
    for name, content in files.items():
        assert content == branch.log_path(name).read_bytes()
        argv = ["mariadb-binlog", "--no-defaults", "--verify-binlog-checksum", str(branch.log_path(name))]
        subprocess.run(argv, check=True, capture_output=True)
    document = made.document
    assert document["files"] == [
        {
            "name": name,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "identity": document["files"][number]["identity"],
            "end": "rotate",
        }
        for number, (name, content) in enumerate(files.items())
    ]
    assert (document["base"], document["previous"], document["epoch"]) == (full.artifact, full.artifact, full.epoch)
    assert document["end"]["gtid"] == sql(branch.source, "SELECT @@gtid_binlog_pos").strip()
    assert document["start"]["position"] == 4
    assert document["end"]["position"] == len(files[closed[-1]])
    assert before <= made.recovery_point <= dt.datetime.now(dt.UTC)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=branch.local, check=True)
    assert branch.verify(identity=branch.keys.identity).failures == []
    assert branch.left_over() == []
    assert oct(os.stat(branch.local / made.artifact).st_mode)[-3:] == "600"

    branch.sell()
    second = branch.increment()
    assert (second.document["previous"], second.sequence) == (made.artifact, 2)
    assert second.document["start"]["gtid"] == document["end"]["gtid"]
    assert list(branch.unpack(second)) == list(branch.logs())[-2:-1]


def test_stock_tools_alone_bring_the_database_back(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    branch.increment()
    # A newer full does not break the stream.
    second = branch.full()
    statements = (
        "ALTER TABLE orders ADD COLUMN till INT DEFAULT 7; UPDATE orders SET note = 'naïve 😀' WHERE id = 1; "
        "CREATE TABLE later (id INT PRIMARY KEY, e JSON); INSERT INTO later VALUES (1, '{\"a\": 1.50}'); "
        "DELETE FROM order_items WHERE name = 'tea'; SELECT NEXTVAL(receipts)"
    )
    sql(branch.source, statements, database=DATABASE)
    third = branch.increment()
    branch.sell(2)
    fourth = branch.increment()
    assert fourth.document["base"] == second.artifact
    assert fourth.document["previous"] == third.artifact
    branch.replay(branch.target, second, [third, fourth])
    assert picture(branch.target) == picture(branch.source)


def test_an_idle_shop_is_not_flushed_and_its_tip_advances(branch: SealingBranch) -> None:
    def tip() -> dict[str, str]:
        request = TipRequest(
            branch=BRANCH,
            kind="log",
            local_path=str(branch.local),
            state_path=str(branch.state),
            run_id=str(branch.request().run_id),
            signing_key=str(branch.keys.signing_key),
        )
        return dict(write_tip(request).document["parts"]["database"])

    full = branch.full()
    for newest in ("full", "increment", "second full"):
        if newest == "increment":
            branch.sell()
            name = branch.increment().artifact
        else:
            name = full.artifact if newest == "full" else branch.full().artifact
        # Their sizes may grow: the server notes by itself, a moment later, that the file before is not needed any more.
        logs, files = list(branch.logs()), branch.files_but_notes()
        before = tip()
        assert before["artifact"] == name
        time.sleep(1.1)
        for _again in range(2):
            outcome = branch.seal()
            assert (outcome.unchanged, outcome.manifest, outcome.needs_full) == (True, None, None)
            assert outcome.warnings == [NEVER_EXPIRES]
        assert (list(branch.logs()), branch.files_but_notes()) == (logs, files)
        after = tip()
        assert after["artifact"] == name
        assert after["current_at"] > before["current_at"]
        assert branch.left_over() == []


@pytest.mark.parametrize(
    "sale",
    [
        "INSERT INTO larapos.emptied VALUES (1)",
        "DELETE FROM larapos.order_items",
        "CREATE TABLE larapos.later (i INT)",
        "SELECT NEXTVAL(larapos.receipts)",
        "XA START 'x'; INSERT INTO larapos.emptied VALUES (2); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'",
    ],
    ids=["row", "cascade", "definition", "sequence", "two-phases"],
)
@pytest.mark.parametrize("after", ["full", "increment"])
def test_the_least_change_is_never_taken_for_idle(branch: SealingBranch, sale: str, after: str) -> None:
    branch.full()
    if after == "increment":
        branch.sell()
        branch.increment()
        assert branch.seal().unchanged
    sql(branch.source, sale)
    assert branch.increment().document["transactions"] >= 1


def test_several_files_and_empty_ones_are_one_increment(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    first = branch.increment()
    # Rotated by hand, by size, by a restart; two of them without a transaction.
    sql(branch.source, "FLUSH BINARY LOGS; FLUSH BINARY LOGS")
    branch.sell()
    branch.restart()
    made = branch.increment()
    files = made.document["files"]
    numbers = [int(each["name"].rpartition(".")[2]) for each in files]
    assert len(files) == 4
    assert numbers == list(range(int(first.position["file"].rpartition(".")[2]) + 1, numbers[-1] + 1))
    assert [each["end"] for each in files] == ["rotate", "rotate", "stop", "rotate"]
    assert made.document["transactions"] == 1
    for name, content in branch.unpack(made).items():
        assert content == branch.log_path(name).read_bytes()


def test_empty_files_alone_keep_the_numbers_in_a_row(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    first = branch.increment()
    branch.restart()
    made = branch.increment()
    assert made.document["transactions"] == 0
    assert made.document["start"]["gtid"] == made.document["end"]["gtid"] == first.document["end"]["gtid"]
    assert made.document["start"]["time"] <= made.document["end"]["time"]
    assert branch.seal().unchanged


def test_numbers_go_on_past_six_digits(own: SealingBranch) -> None:
    sql(own.source, "RESET MASTER TO 999998")
    full = own.full()
    increments = []
    for _number in range(3):
        own.sell()
        sql(own.source, "FLUSH BINARY LOGS")
        own.sell()
        increments.append(own.increment())
    names = [each["name"] for made in increments for each in made.document["files"]]
    assert names == [f"mysql-bin.{number}" for number in range(999998, 1000004)]
    assert own.seal().unchanged
    own.replay(own.target, full, increments)
    assert picture(own.target) == picture(own.source)


def test_a_large_event_passes(branch: SealingBranch) -> None:
    branch.full()
    sql(branch.source, "INSERT INTO larapos.orders (slip) VALUES (REPEAT(x'00FF', 12000000))")
    assert branch.increment().document["largest_event"] > 24_000_000


def test_without_a_full_or_for_another_database_a_full_is_needed(branch: SealingBranch) -> None:
    outcome = branch.seal()
    assert (outcome.needs_full, outcome.manifest, outcome.unchanged) == ("there is no full yet", None, False)
    full = branch.full()
    outcome = branch.seal(database="other")
    assert outcome.needs_full == f"the newest full {full.artifact} is of the database larapos"
    # Without its file a full is none.
    (branch.local / full.artifact).rename(branch.root / "elsewhere")
    assert f"the newest full {full.artifact} does not count" in str(branch.seal().needs_full)


def test_a_lost_increment_is_sealed_again_while_the_server_has_its_files(branch: SealingBranch) -> None:
    full = branch.full()
    made = []
    for _number in range(3):
        branch.sell()
        made.append(branch.increment())
    (branch.local / made[1].artifact).unlink()
    again = branch.increment()
    names = [each["name"] for lost in made[1:] for each in lost.document["files"]]
    assert [each["name"] for each in again.document["files"]][: len(names)] == names
    assert again.document["previous"] == made[0].artifact
    branch.replay(branch.target, full, [made[0], again])
    assert picture(branch.target) == picture(branch.source)


def test_what_the_state_forgot_is_found_out_from_the_server(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    first = branch.increment()
    shutil.rmtree(branch.state / "files")
    made = branch.increment()
    assert (made.document["previous"], made.document["transactions"]) == (first.artifact, 0)
    assert branch.seal().unchanged


def test_check_mode_tells_and_touches_nothing(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    branch.increment()
    assert branch.seal(check_mode=True).unchanged
    branch.sell()
    logs, files = branch.logs(), branch.files()
    outcome = branch.seal(check_mode=True)
    assert (outcome.unchanged, outcome.manifest) == (False, None)
    assert (outcome.plan["files"], outcome.plan["idle"]) == (1, False)
    assert outcome.plan["bytes"] == logs[outcome.plan["first_file"]]
    assert (branch.logs(), branch.files()) == (logs, files)


def test_an_increment_has_a_fingerprint_at_a_position_that_it_holds(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    queries = {"orders": "SELECT COUNT(*), SUM(total) FROM orders"}
    made = branch.increment(fingerprint=True, business_queries=queries, receipt_query="SELECT MAX(id) FROM orders")
    taken = made.document["fingerprint"]
    (size,) = (each["size"] for each in made.document["files"] if each["name"] == taken["file"])
    assert 4 < taken["position"] <= size
    assert (taken["gtid"], taken["checksums"]) == (made.document["end"]["gtid"], False)
    assert taken["receipt"] == sql(branch.source, "SELECT MAX(id) FROM larapos.orders").strip()
    assert branch.verify(identity=branch.keys.identity).failures == []


def test_a_fingerprint_that_cannot_be_taken_is_a_warning(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    outcome = branch.seal(fingerprint=True, dump_option_file=str(branch.binlog_file))
    assert outcome.manifest is not None
    assert (outcome.manifest.document["companion"], outcome.manifest.document["fingerprint"]) == (None, None)
    (warning,) = [each for each in outcome.warnings if each != NEVER_EXPIRES]
    assert warning.startswith("The increment has no fingerprint to compare a restore with. Failed to ")


def test_a_second_run_waits_for_the_first(branch: SealingBranch, monkeypatch: pytest.MonkeyPatch) -> None:
    branch.full()
    branch.sell()
    release = threading.Event()
    held = threading.Event()

    def hold() -> None:
        with _lock.hold(str(branch.state), f"chain-{BRANCH}", run_id="first"):
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    monkeypatch.setattr(_seal, "_LOCK_WAIT_S", 0.3)
    began = time.monotonic()
    with pytest.raises(BackupError, match=f"Failed to take the lock chain-{BRANCH}") as caught:
        branch.seal()
    assert caught.value.reason == "lock_held"
    assert time.monotonic() - began >= 0.3
    monkeypatch.setattr(_seal, "_LOCK_WAIT_S", 30.0)
    threading.Timer(0.5, release.set).start()
    branch.increment()
    holder.join()


def test_no_other_reader_is_ended(branch: SealingBranch) -> None:
    """The server ends a reader when another one shows the same id."""
    branch.full()
    branch.sell()
    spool = branch.root / "stream"
    spool.mkdir()
    argv = ["mariadb-binlog", f"--defaults-file={branch.binlog_file}", "--read-from-remote-server", "--raw"]
    argv += ["--stop-never", f"--result-file={spool}/", list(branch.logs())[-1]]
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as streaming:
        try:
            for _number in range(3):
                branch.sell()
                branch.increment()
            time.sleep(0.5)
            assert streaming.poll() is None, streaming.stderr.read() if streaming.stderr else ""
        finally:
            streaming.kill()


def test_by_tcp_it_is_the_same_as_by_socket(target: ThrowawayServer, keys: Keys, tmp_path: Path, port: int) -> None:
    """A server in a container is reached like this: by a port of this host."""
    networked = ["--skip-networking=0", "--bind-address=127.0.0.1", f"--port={port}"]
    with ThrowawayServer(tmp_path / "server", extra_args=networked) as server:
        branch = SealingBranch(source=server, target=target, keys=keys, root=tmp_path)
        branch.full()
        branch.sell()
        option_file = tmp_path / "tcp.cnf"
        option_file.touch(mode=0o600)
        option_file.write_text(
            f'[client]\nuser=larapee-binlog\npassword="{PASSWORD}"\nhost=127.0.0.1\nport={port}\n', encoding="ascii"
        )
        made = branch.increment(option_file=str(option_file))
        for name, content in branch.unpack(made).items():
            assert content == branch.log_path(name).read_bytes()
        assert branch.seal(option_file=str(option_file)).unchanged
        branch.sell()
        assert branch.increment().document["previous"] == made.artifact


def test_what_it_costs(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    branch.increment()
    for what, statement in (
        ("70 sales", "INSERT INTO larapos.orders (total, note) VALUES (3, 'tea'); " * 70),
        ("1 MB", f"INSERT INTO larapos.orders (slip) VALUES ('{'x' * 10000}'); " * 100),
    ):
        sql(branch.source, statement)
        before = _cpu_seconds()
        made = branch.increment()
        cost = _cpu_seconds() - before
        sys.stdout.write(f"sealing {what}, {made.plain_size} bytes: {cost:.3f} CPU seconds\n")
        assert cost < 2.0
    before = _cpu_seconds()
    assert branch.seal().unchanged
    sys.stdout.write(f"finding the shop idle: {_cpu_seconds() - before:.3f} CPU seconds\n")


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def test_current_is_noted_at_the_time_before_the_flush(branch: SealingBranch) -> None:
    branch.full()
    branch.sell()
    made = branch.increment()
    noted = _current.read(str(branch.state), BRANCH)["database"]
    assert noted["artifact"] == made.artifact
    assert noted["current_at"] == _manifest.format_time(made.created_at)
    assert lines(branch.source, "SHOW BINARY LOGS")


@pytest.fixture
def own(target: ThrowawayServer, keys: Keys, tmp_path: Path) -> Iterator[SealingBranch]:
    with ThrowawayServer(tmp_path / "server") as server:
        yield SealingBranch(source=server, target=target, keys=keys, root=tmp_path)


@pytest.fixture
def port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
