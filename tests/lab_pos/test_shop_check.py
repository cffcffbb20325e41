# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the validation after a restore finds out of a real shop, and what it leaves behind: nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _shop_check
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.lab_pos.lab import CASHIER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab_pos.lab import LabPos

pytestmark = pytest.mark.xdist_group("lab_pos")


@pytest.fixture
def credentials(lab: LabPos, tmp_path: Path) -> Path:
    path = tmp_path / "cashier.ini"
    path.write_text(f"email={CASHIER}\npassword = {lab.password}\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def check(lab: LabPos, credentials: Path | str, **changes: Any) -> dict[str, str]:
    """Each check with its result."""
    given = {"base_url": lab.url, "credentials_file": str(credentials), "wait": 0, **changes}
    return {each.name: each.result for each in _shop_check.check_shop(_shop_check.CheckRequest(**given))}


def refused(lab: LabPos, credentials: Path | str, **changes: Any) -> tuple[dict[str, str], str]:
    with pytest.raises(BackupError) as caught:
        check(lab, credentials, **changes)
    assert caught.value.reason == "shop_not_well"
    text = f"{caught.value}{caught.value.facts}"
    assert lab.password not in text
    return {each["name"]: each["result"] for each in caught.value.facts["checks"]}, text


def books(lab: LabPos) -> list[tuple[Any, ...]]:
    """What a sample order would leave in them."""
    return [
        lab.rows("SELECT COUNT(*) FROM orders")[0],
        lab.rows("SELECT COUNT(*) FROM payments")[0],
        lab.rows("SELECT SUM(stock) FROM product_variants")[0],
    ]


def test_a_shop_that_sells_is_well_and_its_books_are_as_before(lab: LabPos, credentials: Path, tmp_path: Path) -> None:
    option_file = lab.server.write_option_file(tmp_path / "root.cnf", user="root", password="")
    before = books(lab)
    found = check(
        lab,
        credentials,
        option_file=str(option_file),
        database=lab.database,
        sql_asserts=({"name": "one branch", "query": "SELECT COUNT(*) FROM branches", "expect": "1"},),
        commands=({"name": "a command", "argv": ["true"]},),
    )
    names = ("health", "login", "order", "order removed", "one branch", "a command")
    assert found == dict.fromkeys(names, "OK")
    assert books(lab) == before


def test_without_an_account_it_is_not_known_whether_it_sells(lab: LabPos) -> None:
    found, text = refused(lab, "")
    assert found == {"health": "OK", "login": "NOT RUN", "order": "NOT RUN"}
    assert "larapee_backup_shop_credentials_file" in text
    assert check(lab, "", require=("health",))["login"] == "NOT RUN"


def test_health_is_green_and_nobody_can_log_in(lab: LabPos, credentials: Path) -> None:
    credentials.write_text(f"email={CASHIER}\npassword=wrong-{lab.password}\n", encoding="utf-8")
    found, text = refused(lab, credentials)
    assert found == {"health": "OK", "login": "FAILED", "order": "NOT RUN"}
    assert "the shop answers with 401: " in text


def test_an_order_that_fails_is_told_and_leaves_nothing(lab: LabPos, credentials: Path) -> None:
    before = books(lab)
    found, text = refused(lab, credentials, order_body={"items": [{"variant_id": 999999, "quantity": 1}], "test": True})
    assert found["order"] == "FAILED"
    assert "the shop answers with 422" in text
    assert books(lab) == before


def test_an_order_that_cannot_be_taken_back_is_named(lab: LabPos, credentials: Path) -> None:
    """One without the mark of a test is in the books for good."""
    found, text = refused(lab, credentials, order_body={"items": [{"variant_id": 1, "quantity": 1}]})
    assert (found["order"], found["order removed"]) == ("OK", "FAILED")
    ((newest,),) = lab.rows("SELECT invoice_number FROM orders ORDER BY id DESC LIMIT 1")
    assert f"the sample order {newest} is in the books" in text


def test_a_query_and_a_command_that_say_otherwise_fail(lab: LabPos, credentials: Path, tmp_path: Path) -> None:
    option_file = lab.server.write_option_file(tmp_path / "root.cnf", user="root", password="")
    found, text = refused(
        lab,
        credentials,
        option_file=str(option_file),
        database=lab.database,
        sql_asserts=(
            {"name": "two branches", "query": "SELECT COUNT(*) FROM branches", "expect": "2"},
            {"name": "writes", "query": "DELETE FROM orders", "expect": "0"},
        ),
        commands=({"name": "a command", "argv": ["sh", "-c", f"echo {lab.password}; exit 3"]},),
    )
    assert [found[name] for name in ("two branches", "writes", "a command", "order removed")] == [*["FAILED"] * 3, "OK"]
    assert "the query says 1, and not 2" in text
    assert "READ ONLY" in text
    assert "status 3: ..." in text


@contextlib.contextmanager
def cutting(port: int, *, needle: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A way to the shop that loses the first answer to a request with *needle* in it."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = listener.accept()
                with client, socket.create_connection(("127.0.0.1", port)) as shop:
                    request = client.recv(65536)
                    while (
                        b"\r\n\r\n" not in request
                        or request.split(b"\r\n\r\n", 1)[1] == b""
                        and b"Content-Le" in request
                    ):
                        request += client.recv(65536)
                    shop.sendall(request.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n", 1))
                    answer = b"".join(iter(lambda: shop.recv(65536), b""))
                    if needle in request:
                        seen.append(request)
                    if not (needle in request and len(seen) == 1):
                        client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_lost_answer_makes_no_second_order(lab: LabPos, credentials: Path) -> None:
    before = books(lab)
    with cutting(lab.port, needle=b"POST /api/v1/orders") as (url, seen):
        assert check(lab, credentials, base_url=url)["order removed"] == "OK"
    assert len(seen) == 2
    assert books(lab) == before


def test_a_shop_that_does_not_answer_is_waited_for_and_told(lab: LabPos, credentials: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    found, text = refused(lab, credentials, base_url=f"http://127.0.0.1:{port}")
    assert found["health"] == "FAILED"
    assert "no answer from http://127.0.0.1" in text


def test_a_preview_sells_nothing(lab: LabPos, credentials: Path) -> None:
    before = lab.rows("SELECT COUNT(*) FROM audit_logs")
    request = _shop_check.CheckRequest(base_url=lab.url, credentials_file=str(credentials))
    found = _shop_check.check_shop(request, check_mode=True)
    assert [(each.name, each.result) for each in found] == [
        ("health", "OK"),
        ("login", "NOT RUN"),
        ("order", "NOT RUN"),
    ]
    assert lab.rows("SELECT COUNT(*) FROM audit_logs") == before


@pytest.mark.parametrize("content", ["", "email=a\n", "password=b\n"])
def test_credentials_that_are_none_are_refused(lab: LabPos, credentials: Path, content: str) -> None:
    credentials.write_text(content, encoding="utf-8")
    with pytest.raises(BackupError) as caught:
        check(lab, credentials)
    assert caught.value.reason == "bad_credentials"


def test_credentials_that_others_can_read_are_refused(lab: LabPos, credentials: Path) -> None:
    credentials.chmod(0o644)
    with pytest.raises(BackupError, match="chmod 600"):
        check(lab, credentials)
