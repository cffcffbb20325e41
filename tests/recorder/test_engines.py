# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table in SQLite and in a real MariaDB server: the same rows, the same rules, and no wait without an end."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import socket
import struct
import subprocess
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import (
    Evidence,
    RunRecord,
    StoreError,
    _store_mysql,
    open_store,
)
from ansible_collections.larapee.backup.tests.unit.plugins.plugin_utils._recorder.run_histories import (
    at_level,
    check_history,
    histories,
    make_record,
)
from larapee_runner.demo.server import ThrowawayServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RunStore

PASSWORD = 'S3cret "with" \\ # ; and €'
_numbers = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class RunsServer:
    """A server with an account that owns one database of runs, over a socket and over TCP with TLS."""

    server: ThrowawayServer
    port: int
    authority: Path
    directory: Path

    def option_file(
        self, *, password: str = PASSWORD, user: str = "runs", extra: str = "", socket: bool = True
    ) -> Path:
        path = self.server.write_option_file(self.directory / f"{next(_numbers)}.cnf", user=user, password=password)
        lines = [
            line for line in path.read_text(encoding="utf-8").splitlines() if socket or not line.startswith("socket")
        ]
        path.write_text("\n".join([*lines, extra, ""]), encoding="utf-8")
        return path

    def url(self, *, host: str = "localhost", option_file: Path | None = None, also: str = "") -> str:
        return f"mysql+pymysql://{host}/runs?read_default_file={option_file or self.option_file()}{also}"

    def sql(self, *statements: str) -> None:
        with self.server.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def runs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunsServer]:
    directory = tmp_path_factory.mktemp("tls")
    key, certificate = directory / "key.pem", directory / "cert.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=runs"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*request, *names], check=True, capture_output=True)
    port = _free_port()
    network = ["--skip-networking=0", "--bind-address=127.0.0.1", f"--port={port}"]
    tls = [f"--ssl-cert={certificate}", f"--ssl-key={key}"]
    with ThrowawayServer(directory / "server", extra_args=[*network, *tls]) as server:
        runs = RunsServer(server=server, port=port, authority=certificate, directory=directory)
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE runs")
            for host in ("localhost", "127.0.0.1"):
                cursor.execute("CREATE USER runs@%s IDENTIFIED BY %s", [host, PASSWORD])
                cursor.execute("GRANT ALL ON runs.* TO runs@%s", [host])
        yield runs


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunStore]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('table')}/runs.sqlite"
    else:
        url = request.getfixturevalue("runs_server").url()
    opened = open_store(url)
    yield opened
    opened.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories())
def test_any_order_and_repetition_ends_in_the_same_rows(store: RunStore, history: list[list[RunRecord]]) -> None:
    check_history(store, history)


def test_every_column_comes_back(store: RunStore) -> None:
    started = datetime(2026, 11, 22, 23, 59, 59, 999_999, tzinfo=UTC)
    record = RunRecord(
        run_id=str(uuid.uuid4()),
        branch="branch-ü",
        kind="full",
        status="failed",
        started_at=started,
        finished_at=started + timedelta(microseconds=1),
        duration_s=0.000001,
        host="central",
        launcher="awx",
        launcher_ref="4711",
        playbook="larapee.backup.branch_backup",
        check_mode=True,
        artifacts=[{"name": "db-20261122-0300.sql.gz.age", "size": 2**40, "sha256": "0f" * 32}],
        bytes=2**40,
        recovery_point="2026-11-22T14:32:10Z",
        error="Failed to dump 'larapos': \\ \" ; -- 🧾. Free some space.",
        evidence=Evidence.OBSERVED,
        details={"deep": {"er": [1, None, "é", "%s", "{x}"]}},
    )
    store.upsert([record])
    assert store.query(run_id=record.run_id) == [record]


def test_zones_meet_in_utc(store: RunStore) -> None:
    record = make_record()
    local = dataclasses.replace(record, started_at=record.started_at.astimezone(datetime.now().astimezone().tzinfo))
    store.upsert([local])
    (row,) = store.query(run_id=record.run_id)
    assert row.started_at == record.started_at
    assert row.started_at.tzinfo is UTC


def test_inference_stays_readable_below_the_observed_end(store: RunStore) -> None:
    run_id = str(uuid.uuid4())
    inferred = at_level(run_id, "branch-001", Evidence.INFERRED)
    for record in (at_level(run_id, "branch-001", Evidence.PENDING), inferred):
        store.upsert([record])
    observed = at_level(run_id, "branch-001", Evidence.OBSERVED)
    store.upsert([observed])
    (row,) = store.query(run_id=run_id)
    inference = {"error": inferred.error, "finished_at": "2026-11-22T03:00:08.123456Z"}
    assert row == dataclasses.replace(observed, details={**observed.details, "inference": inference})


def test_thousand_branches_in_one_write(store: RunStore) -> None:
    run_id = str(uuid.uuid4())
    store.upsert([make_record(run_id=run_id)])
    began = time.monotonic()
    store.upsert([make_record(run_id=run_id, branch=f"branch-{number:04}") for number in range(1000)])
    assert time.monotonic() - began < 5
    rows = store.query(run_id=run_id)
    assert len(rows) == 1000
    assert all(rows)
    assert None not in {row.branch for row in rows}


def test_two_witnesses_at_once_leave_one_row(runs_server: RunsServer, tmp_path: Path) -> None:
    for url in (runs_server.url(), f"sqlite:///{tmp_path}/runs.sqlite"):
        run_ids = [str(uuid.uuid4()) for _number in range(40)]
        errors = _write_at_once(url, run_ids)
        assert errors == []
        with contextlib.closing(open_store(url)) as store:
            for run_id in run_ids:
                assert [row.branch for row in store.query(run_id=run_id)] == ["branch-001"]


def _write_at_once(url: str, run_ids: list[str]) -> list[Exception]:
    errors: list[Exception] = []
    barrier = threading.Barrier(2, timeout=20)

    def write(branch: str | None) -> None:
        try:
            with contextlib.closing(open_store(url)) as store:
                for run_id in run_ids:
                    barrier.wait()
                    store.upsert([make_record(run_id=run_id, branch=branch)])
        except Exception as error:  # noqa: BLE001 - told by the thread that asserts
            errors.append(error)

    threads = [threading.Thread(target=write, args=[branch]) for branch in (None, "branch-001")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_table_is_made_once_and_needs_no_right_to_make_it_afterwards(runs_server: RunsServer) -> None:
    open_store(runs_server.url()).close()
    runs_server.sql(
        "CREATE USER IF NOT EXISTS writer@localhost IDENTIFIED BY 'w'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON runs.* TO writer@localhost",
    )
    url = runs_server.url(option_file=runs_server.option_file(user="writer", password="w"))
    for _time in range(2):
        with contextlib.closing(open_store(url)) as store:
            store.upsert([make_record(branch="branch-001")])


def test_refusal_of_the_server_is_told_without_the_password(runs_server: RunsServer) -> None:
    wrong = runs_server.option_file(password="S3cret of somebody else")
    with pytest.raises(StoreError, match="Access denied for user 'runs'") as caught:
        open_store(runs_server.url(option_file=wrong))
    assert "S3cret" not in str(caught.value)


def test_value_that_does_not_fit_is_refused_and_nothing_is_written(runs_server: RunsServer) -> None:
    run_id = str(uuid.uuid4())
    with contextlib.closing(open_store(runs_server.url())) as store:
        with pytest.raises(StoreError, match="Data too long for column 'branch'"):
            store.upsert([make_record(run_id=run_id, branch=branch) for branch in ("a", "b" * 500)])
        assert store.query(run_id=run_id) == []


def test_row_that_somebody_locks_is_not_waited_for_for_long(runs_server: RunsServer) -> None:
    record = make_record(branch="branch-001")
    with contextlib.closing(open_store(runs_server.url(), read_timeout=2)) as store:
        store.upsert([record])
        with runs_server.server.connect(database="runs") as other, other.cursor() as cursor:
            other.begin()
            cursor.execute("SELECT * FROM backup_runs WHERE id = %s FOR UPDATE", [record.id])
            began = time.monotonic()
            with pytest.raises(StoreError, match="Lock wait timeout exceeded"):
                store.upsert([record.ended("success")])
            assert time.monotonic() - began < 4
            other.rollback()
        store.upsert([record.ended("success")])
        assert [row.status for row in store.query(run_id=record.run_id)] == ["success"]


def test_silent_peer_is_given_up(tmp_path: Path) -> None:
    option_file = tmp_path / "runs.cnf"
    option_file.touch(mode=0o600)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(1)
        began = time.monotonic()
        with pytest.raises(StoreError, match="timed out"):
            open_store(
                f"mysql+pymysql://127.0.0.1:{mute.getsockname()[1]}/runs?read_default_file={option_file}",
                read_timeout=1,
            )
        assert time.monotonic() - began < 3


def test_option_file_that_others_can_read_is_refused(runs_server: RunsServer) -> None:
    path = runs_server.option_file()
    path.chmod(0o644)
    with pytest.raises(StoreError, match="chmod 0600"):
        open_store(runs_server.url(option_file=path))


class TestTls:
    """Another host is spoken to in TLS only, and only if it proves who it is."""

    @pytest.fixture(autouse=True)
    def elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The tests have the loopback interface alone; here it counts as another host."""
        monkeypatch.setattr(_store_mysql, "_is_loopback", lambda _host: False)

    @pytest.fixture
    def host(self, runs_server: RunsServer) -> str:
        return f"127.0.0.1:{runs_server.port}"

    def test_server_of_the_known_authority(self, runs_server: RunsServer, host: str) -> None:
        option_file = runs_server.option_file(extra=f"ssl-ca={runs_server.authority}", socket=False)
        with contextlib.closing(open_store(runs_server.url(host=host, option_file=option_file))) as store:
            record = make_record()
            store.upsert([record])
            assert store.query(run_id=record.run_id) == [record]
            assert _cipher(store) != ""

    def test_unknown_authority_is_refused(self, runs_server: RunsServer, host: str) -> None:
        option_file = runs_server.option_file(socket=False)
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            open_store(runs_server.url(host=host, option_file=option_file))

    def test_plain_text_by_name(self, runs_server: RunsServer, host: str) -> None:
        option_file = runs_server.option_file(socket=False)
        url = runs_server.url(host=host, option_file=option_file, also="&allow_plaintext=1")
        with contextlib.closing(open_store(url)) as store:
            assert _cipher(store) == ""

    @pytest.mark.parametrize("older_driver", [False, True])
    def test_server_without_tls_never_sees_a_credential(
        self, runs_server: RunsServer, monkeypatch: pytest.MonkeyPatch, older_driver: bool
    ) -> None:
        if older_driver:
            monkeypatch.setattr(pymysql.connections.Connection, "_ssl_required", False, raising=False)
            monkeypatch.setattr(pymysql.connections.Connection, "__setattr__", _forget_that_tls_is_required)
        option_file = runs_server.option_file(extra=f"ssl-ca={runs_server.authority}", socket=False)
        heard: list[bytes] = []
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            thread = threading.Thread(target=_greet_without_tls, args=[listener, heard])
            thread.start()
            host = f"127.0.0.1:{listener.getsockname()[1]}"
            with pytest.raises(StoreError, match="TLS|SSL"):
                open_store(runs_server.url(host=host, option_file=option_file))
            thread.join(timeout=10)
        assert heard == [b""]


def _forget_that_tls_is_required(connection: Any, name: str, value: Any) -> None:
    """As drivers before 1.2 do, Debian's among them: TLS is used where offered and silently left out elsewhere."""
    object.__setattr__(connection, name, False if name == "_ssl_required" else value)


def _greet_without_tls(listener: socket.socket, heard: list[bytes]) -> None:
    capabilities = 0x000FA7FF & ~0x0800
    greeting = (
        b"\x0a8.0.99\x00"
        + struct.pack("<I", 1)
        + b"abcdefgh\x00"
        + struct.pack("<H", capabilities & 0xFFFF)
        + b"\x2d"
        + struct.pack("<H", 2)
        + struct.pack("<H", capabilities >> 16)
        + bytes([21])
        + b"\x00" * 10
        + b"ijklmnopqrst\x00"
        + b"mysql_native_password\x00"
    )
    peer, _address = listener.accept()
    with peer:
        peer.settimeout(8)
        peer.sendall(struct.pack("<I", len(greeting))[:3] + b"\x00" + greeting)
        heard.append(peer.recv(4096))


def _cipher(store: Any) -> str:
    ((_name, cipher),) = store._execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'", [])
    return str(cipher)
