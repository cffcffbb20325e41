# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole story, with the real playbooks; and what it says when something went wrong in it."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from larapee_runner.demo.business import Business
from larapee_runner.demo.moment import SealWatch
from larapee_runner.demo.recovery import Recovery
from larapee_runner.demo.story import main

CHECKOUT = Path(__file__).parents[2]
SIZE = ("--orders", "120", "--seed", "3")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    paths = [str(CHECKOUT / "runner" / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.chdir(CHECKOUT)
    return dict(os.environ)


def processes_below(directory: Path) -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) in arguments:
            yield arguments.replace(b"\0", b" ").decode(errors="replace")


def runs(directory: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "larapee_runner", "runs", "--json"],
        env={**environment, "LARAPEE_BACKUP_CONFIG": str(directory / "config.yml")},
        capture_output=True,
        check=True,
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)["runs"]
    return rows


def test_everything_is_lost_and_comes_back(tmp_path: Path, environment: dict[str, str]) -> None:
    directory = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "larapee_runner", "demo", "--dir", str(directory), *SIZE],
        env={**environment, "LARAPEE_BACKUP_RUNS_URL": "sqlite:////nonexistent/of/somebody/else"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert re.search(r"EQUAL at GTID 1-1-\d+: 62 facts, [\d,]{5,} rows by checksum", done.stdout)
    lost = re.search(
        r"(\d+) receipts of the last [\d.]+ s, .* are lost:\n +from (B01-\d{8}-\d+) .*\n +to +(\S+)", done.stdout
    )
    assert lost is not None
    assert int(lost[1]) >= 60
    assert lost[2] < lost[3]
    assert re.search(r"EQUAL uploads: \d{3} files, \d+ directories, 3 symbolic links, ", done.stdout)
    assert "EQUAL .env and nginx: 2 files, 3 directories, 1 symbolic link, " in done.stdout
    slips = re.search(r"(\d+) slips uploaded with them are lost:\n +from payment-slips/(\S+).*\n +to +\S+", done.stdout)
    assert slips is not None
    assert int(slips[1]) >= 5
    assert re.search(r"set 1 stays: .* 7 days\n +set 2 stays: .* 7 days\n", done.stdout)
    kinds = ["retention (check)", "restore", "restore (check)", "log", "verify", "increment", "full"]
    rows = runs(directory, environment)
    assert [row["kind"] + " (check)" * row["check_mode"] for row in rows] == kinds
    assert {(row["status"], row["branch"]) for row in rows} == {("success", "branch-001")}
    assert [len(re.findall(rf"  {re.escape(kind)}  ", done.stdout)) for kind in kinds] == [1] * len(kinds)
    restored = rows[1]["details"]["plan"]
    assert restored["position"]["gtid"] in done.stdout
    assert [name.split(".")[1] for name in restored["artifacts"]] == ["sql", "binlog", "binlog"]
    assert re.search(r"the last one is 1-1-\d+ of \S+Z; 1-1-\d+ would not come back\n", done.stdout)
    # What the shop printed is what the fingerprint knows.
    known = re.findall(r"the last receipt (?:in it is|of the fingerprint before it is) (B01-\d{8}-\d+)", done.stdout)
    assert len(known) == 2
    assert len(set(known)) == 1
    artifacts = sorted(path.name for path in (directory / "backups").iterdir() if ".tar." in path.name)
    stems = {name.partition(".tar.zst.age")[0] for name in artifacts}
    assert len(stems) == 5
    assert len({stem for stem in stems if stem.startswith("config-")}) == 2
    assert len({stem for stem in stems if stem.endswith(".incr")}) == 2
    # The last one came after the verification.
    assert len(artifacts) == 5 * len(["artifact", "index", "manifest", "signature", "verified"]) - 1
    databases = sorted(path.name for path in (directory / "backups").glob("db-*.age") if "fingerprint" not in path.name)
    assert sorted(name.split(".")[1] for name in databases) == ["binlog", "binlog", "sql"]
    assert [f"{directory / 'backups' / name}\n" in done.stdout for name in databases].count(True) == 1
    assert not (directory / "shop").exists()
    (environment_file,) = (directory / "new-shop" / "config").rglob(".env")
    assert stat.S_IMODE(environment_file.stat().st_mode) == 0o640
    assert not (directory / "shop-server" / "data").exists()
    assert (directory / "new-server" / "data" / "larapos" / "orders.ibd").is_file()
    assert list(processes_below(directory)) == []
    secrets = [
        re.search(r'password="(.+)"', path.read_text(encoding="utf-8"))
        for path in (*(directory / "branch").glob("*.cnf"), directory / "restorer" / "target.cnf")
    ]
    secrets.append(re.search(r"APP_KEY=base64:(.{44})", environment_file.read_text(encoding="utf-8")))
    secrets.append(re.search(r'DB_PASSWORD="(.+)"', environment_file.read_text(encoding="utf-8")))
    logs = "".join(path.read_text(encoding="utf-8") for path in (directory / "logs").iterdir())
    backups = b"".join(path.read_bytes() for path in (directory / "backups").rglob("*") if path.is_file())
    assert [found for found in secrets if found is None or found[1] in done.stdout + logs] == []
    assert [found for found in secrets if found is not None and found[1].encode() in backups] == []
    assert "AGE-SECRET-KEY" not in done.stdout + logs


def test_a_wrong_restore_is_not_called_equal(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = Recovery.restore

    def restore_wrongly(recovery: Recovery) -> None:
        restore(recovery)
        connection = recovery._stage.new_server.connect(database="larapos")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE payments SET amount = amount + 0.0001 ORDER BY id LIMIT 1")
        connection.close()

    monkeypatch.setattr(Recovery, "restore", restore_wrongly)
    for act in ("work_on", "take_increment", "verify"):
        monkeypatch.setattr(Business, act, lambda *_arguments: None)
    monkeypatch.setattr(Recovery, "preview", lambda recovery, _moment: recovery._open_target())
    # Too late: the log is closed already, and a receipt may be sold before the orders are held.
    late = SealWatch.closed

    def notice_late(watch: SealWatch) -> bool:
        seen = late(watch)
        time.sleep(0.3 if seen else 0)
        return seen

    monkeypatch.setattr(SealWatch, "reader_is_here", notice_late)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    result = CliRunner().invoke(main, ["--dir", str(tmp_path / "demo"), *SIZE])
    assert result.exit_code == 1
    assert "orders slipped in after it" in result.stdout
    assert "Failed to prove equality: 1 differences: contents of payments: differs." in result.stderr
    assert "EQUAL" not in result.stdout
    assert list(processes_below(tmp_path)) == []
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_ended_in_the_middle_of_the_full(
    tmp_path: Path, environment: dict[str, str], number: signal.Signals, code: int
) -> None:
    directory = tmp_path / "demo"
    with subprocess.Popen(
        [sys.executable, "-m", "larapee_runner", "demo", "--dir", str(directory), *SIZE],
        env={**environment, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        deadline = time.monotonic() + 60
        while not list((directory / "state").glob("journal*/*.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        demo.send_signal(number)
        output, _errors = demo.communicate(timeout=60)
    assert demo.returncode == code
    deadline = time.monotonic() + (30 if number == signal.SIGKILL else 0)
    while (left := list(processes_below(directory))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    assert ("FAILED" in output) == (number != signal.SIGKILL)
    assert (directory / "shop-server" / "data").is_dir()
    # The run was asked to end, also where nobody was left to ask: it did not only lose its server.
    assert [(row["status"], "SIGTERM" in row["error"]) for row in runs(directory, environment)] == [("failed", True)]
