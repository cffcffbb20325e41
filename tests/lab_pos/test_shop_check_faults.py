# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the validation does when answers are lost, cut or hold secrets, and when it is asked for nonsense."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _shop_check
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from tests.lab_pos.lab import CASHIER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lab_pos.lab import LabPos

pytestmark = pytest.mark.xdist_group("lab_pos")
ORDER = b"POST /api/v1/orders"
REMOVAL = b"DELETE /api/v1/orders"


def write_credentials(path: Path, password: str) -> str:
    path.write_bytes(f"email={CASHIER}\npassword={password}\n".encode())
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def credentials(lab: LabPos, tmp_path: Path) -> str:
    return write_credentials(tmp_path / "cashier.ini", lab.password)


def outcome(**given: Any) -> tuple[dict[str, str], str]:
    """Each check with its result, and all that is told."""
    try:
        checks = _shop_check.check_shop(_shop_check.CheckRequest(**{"wait": 0, "timeout": 5, **given}))
    except BackupError as exc:
        if exc.reason != "shop_not_well":
            raise
        return {each["name"]: each["result"] for each in exc.facts["checks"]}, f"{exc} {exc.facts}"
    return {each.name: each.result for each in checks}, str(checks)


def orders(lab: LabPos) -> int:
    return int(lab.rows("SELECT COUNT(*) FROM orders")[0][0])


@contextlib.contextmanager
def between(port: int, change: Callable[[bytes, bytes, int], bytes]) -> Iterator[str]:
    """A way to the shop on which *change* makes another answer of (request, answer, how often that line was asked)."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: dict[bytes, int] = {}

    def serve_one(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as shop:
            stream = client.makefile("rb")
            head = b"".join(iter(stream.readline, b"\r\n"))
            length = next((int(h.split(b":")[1]) for h in head.splitlines() if h.lower().startswith(b"content-len")), 0)
            shop.sendall(head + b"Connection: close\r\n\r\n" + stream.read(length))
            answer = b"".join(iter(lambda: shop.recv(65536), b""))
            line = head.split(b" HTTP/")[0]
            asked[line] = asked.get(line, 0) + 1
            client.sendall(change(line, answer, asked[line]))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                serve_one(listener.accept()[0])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@contextlib.contextmanager
def shop_of(answers: dict[str, tuple[int, str]]) -> Iterator[str]:
    """A shop that answers as told; health is well."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answers.get(self.path.rpartition("/")[2], (200, "{}"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_DELETE = do_POST

        def log_message(self, *_words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_answer_that_is_cut_in_its_middle_is_lost_too(lab: LabPos, credentials: str) -> None:
    before = orders(lab)

    def cut(line: bytes, answer: bytes, times: int) -> bytes:
        body = answer[answer.index(b"{") : answer.rindex(b"}") + 1] if b"{" in answer else b""
        head = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(body)
        return head + body[:-20] if line.startswith(ORDER) and times == 1 else answer

    with between(lab.port, cut) as url:
        found, _told = outcome(base_url=url, credentials_file=credentials)
    assert orders(lab) == before
    assert (found["order"], found["order removed"]) == ("OK", "OK")


def test_an_order_whose_answers_are_all_lost_is_told_of(lab: LabPos, credentials: str) -> None:
    before = orders(lab)
    lose = lambda line, answer, _times: b"" if line.startswith(ORDER) else answer  # noqa: E731
    with between(lab.port, lose) as url:
        found, told = outcome(base_url=url, credentials_file=credentials)
    ((key,),) = lab.rows("SELECT idempotency_key FROM orders ORDER BY id DESC LIMIT 1")
    assert orders(lab) == before + 1
    assert found["order"] == "FAILED"
    assert found.get("order removed") == "FAILED"
    assert key in told


def test_an_order_that_a_gateway_gave_up_on_is_told_of(lab: LabPos, credentials: str) -> None:
    before = orders(lab)
    gone = b"HTTP/1.1 504 Gateway Time-out\r\nContent-Length: 0\r\n\r\n"
    give_up = lambda line, answer, _times: gone if line.startswith(ORDER) else answer  # noqa: E731
    with between(lab.port, give_up) as url:
        found, _told = outcome(base_url=url, credentials_file=credentials)
    assert orders(lab) == before + 1
    assert found.get("order removed") == "FAILED"


def test_a_lost_answer_to_the_removal_is_no_order_in_the_books(lab: LabPos, credentials: str) -> None:
    before = orders(lab)
    lose = lambda line, answer, times: b"" if line.startswith(REMOVAL) and times == 1 else answer  # noqa: E731
    with between(lab.port, lose) as url:
        found, _told = outcome(base_url=url, credentials_file=credentials)
    assert orders(lab) == before
    assert found["order removed"] == "OK"


@pytest.mark.parametrize(
    "answer",
    [
        (200, '{"access_token": "TOPSECRET"}'),
        (200, '{"data": {"token": "TOPSECRET"}}'),
        (201, '{"token": "TOPSECRET"}'),
    ],
)
def test_a_token_at_another_place_is_not_shown(tmp_path: Path, answer: tuple[int, str]) -> None:
    with shop_of({"login": answer}) as url:
        _found, told = outcome(base_url=url, credentials_file=write_credentials(tmp_path / "c", "word"))
    assert "TOPSECRET" not in told


@pytest.mark.parametrize("password", ["pass/word", 'pass"word', "päßword"])
def test_a_password_that_json_writes_otherwise_is_not_shown(tmp_path: Path, password: str) -> None:
    written = json.dumps({"message": password}).replace("/", "\\/")  # as PHP writes it
    with shop_of({"login": (500, written)}) as url:
        _found, told = outcome(base_url=url, credentials_file=write_credentials(tmp_path / "c", password))
    shown = json.dumps(password).replace("/", "\\/")[1:-1]
    assert password not in told
    assert shown not in told.replace("\\\\", "\\")


def test_a_token_that_json_writes_otherwise_is_not_shown(tmp_path: Path) -> None:
    answers = {"login": (200, '{"token": "abc\\/def+geh="}'), "variants": (500, '{"bad": "abc\\/def+geh="}')}
    with shop_of(answers) as url:
        _found, told = outcome(base_url=url, credentials_file=write_credentials(tmp_path / "c", "word"))
    assert "def+geh" not in told


def test_a_token_that_no_header_can_hold_is_not_shown(tmp_path: Path) -> None:
    with shop_of({"login": (200, '{"token": "TOP\\nSECRET"}')}) as url:
        found, told = outcome(base_url=url, credentials_file=write_credentials(tmp_path / "c", "word"))
    assert "SECRET" not in told
    assert found["order"] != "OK"


def test_a_required_check_that_does_not_exist_is_not_passed(lab: LabPos, credentials: str) -> None:
    found, told = outcome(base_url=lab.url, credentials_file=credentials, require=("health", "no orphans"))
    assert "no orphans" in told
    assert found["health"] == "OK"


def test_a_command_that_does_not_exist_is_a_failed_check(lab: LabPos, credentials: str) -> None:
    missing = {"name": "missing", "argv": ["/nonexistent/check"]}
    found, _told = outcome(base_url=lab.url, credentials_file=credentials, commands=(missing,))
    assert found["missing"] == "FAILED"


def test_a_preview_names_what_it_did_not_run(lab: LabPos) -> None:
    request = _shop_check.CheckRequest(
        base_url=lab.url,
        sql_asserts=({"name": "sums", "query": "SELECT 1", "expect": "1"},),
        commands=({"name": "a command", "argv": ["true"]},),
    )
    found = {each.name: each.result for each in _shop_check.check_shop(request, check_mode=True)}
    assert found.get("sums") == found.get("a command") == "NOT RUN"


@pytest.mark.parametrize("given", [{"ca_file": "/nonexistent.pem"}, {"base_url": "https://127.0.0.1:99999"}])
def test_what_cannot_be_used_is_refused_and_no_traceback(given: dict[str, str]) -> None:
    with pytest.raises(BackupError):
        _shop_check.check_shop(_shop_check.CheckRequest(**{"base_url": "https://127.0.0.1:1", "wait": 0, **given}))


def test_credentials_in_another_encoding_are_refused(lab: LabPos, tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(b"email=a\npassword=\xe4\n")
    path.chmod(0o600)
    with pytest.raises(BackupError):
        _shop_check.check_shop(_shop_check.CheckRequest(base_url=lab.url, credentials_file=str(path), wait=0))


def test_an_empty_password_is_none(lab: LabPos, tmp_path: Path) -> None:
    request = _shop_check.CheckRequest(base_url=lab.url, credentials_file=write_credentials(tmp_path / "c", ""), wait=0)
    with pytest.raises(BackupError) as caught:
        _shop_check.check_shop(request)
    assert caught.value.reason == "bad_credentials"


@pytest.mark.parametrize("line", [b"GET /api/v1/health", ORDER, REMOVAL])
def test_an_interruption_ends_it_and_leaves_no_order(lab: LabPos, credentials: str, line: bytes) -> None:
    """A signal that comes while the shop has done what was asked, and has not answered yet."""
    before = orders(lab)
    logins = "SELECT COUNT(*) FROM audit_logs WHERE action = 'user.login'"
    logged_in = lab.rows(logins)

    def interrupt(asked: bytes, answer: bytes, times: int) -> bytes:
        if asked.startswith(line) and times == 1:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            time.sleep(0.2)
        return answer

    request = _shop_check.CheckRequest(base_url="", credentials_file=credentials, wait=0)
    with between(lab.port, interrupt) as url, pytest.raises(BackupError) as caught, interruptible():
        _shop_check.check_shop(dataclasses.replace(request, base_url=url))
    assert caught.value.reason == "interrupted"
    assert orders(lab) == before
    if line.startswith(b"GET"):
        assert lab.rows(logins) == logged_in


def test_a_query_that_changes_definitions_is_refused(lab: LabPos, credentials: str, tmp_path: Path) -> None:
    option_file = lab.server.write_option_file(tmp_path / "root.cnf", user="root", password="")
    queries = ("CREATE TABLE planted (a INT)", "TRUNCATE TABLE stock_movements", "SELECT 1 WHERE 'a' LIKE '%a'")
    asserts = tuple({"name": query, "query": query, "expect": "1"} for query in queries)
    found, _told = outcome(
        base_url=lab.url,
        credentials_file=credentials,
        option_file=str(option_file),
        database=lab.database,
        sql_asserts=asserts,
    )
    assert [found[query] for query in queries] == ["FAILED", "FAILED", "OK"]


def test_a_query_that_does_not_end_is_a_failed_check(lab: LabPos, credentials: str, tmp_path: Path) -> None:
    option_file = lab.server.write_option_file(tmp_path / "root.cnf", user="root", password="")
    asserts = (
        {"name": "slow", "query": "SELECT SLEEP(30)", "expect": "0"},
        {"name": "quick", "query": "SELECT 1", "expect": "1"},
    )
    begun = time.monotonic()
    found, told = outcome(
        base_url=lab.url,
        credentials_file=credentials,
        option_file=str(option_file),
        database=lab.database,
        sql_asserts=asserts,
        timeout=3,
    )
    assert time.monotonic() - begun < 20
    assert (found["slow"], found["quick"]) == ("FAILED", "OK")
    assert "timed out" in told


def test_a_shop_that_answers_a_byte_now_and_then_holds_nobody(lab: LabPos) -> None:
    """Each read of it ends in time, and all of them together would not."""
    listener = socket.create_server(("127.0.0.1", 0))

    def trickle() -> None:
        with contextlib.suppress(OSError):
            client, _address = listener.accept()
            with client:
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while True:
                    client.sendall(b" ")
                    time.sleep(0.2)

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    begun = time.monotonic()
    with contextlib.closing(listener):
        results, told = outcome(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=1)
    assert time.monotonic() - begun < 5
    assert results["health"] == "FAILED"
    assert "no answer from http://127.0.0.1" in told
    thread.join(5)
    assert not thread.is_alive()


def test_an_account_in_the_url_is_refused_and_not_told() -> None:
    with pytest.raises(BackupError, match="larapee_backup_shop_credentials_file") as caught:
        outcome(base_url="https://cashier:secret-word@pos.example")
    assert caught.value.reason == "bad_request"
    assert "secret-word" not in str(caught.value)
