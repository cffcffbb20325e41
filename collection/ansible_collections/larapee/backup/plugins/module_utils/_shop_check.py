# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a shop sells: its health, a login and a sample order over its API, and what SQL says.

The sample order is taken back whatever comes after it. No secret of it is told: neither password nor token, not even
where the shop's answer has one.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t
import urllib.parse
import uuid

from . import _io, _process
from ._errors import BackupError
from ._mysql._connection import connect, rows
from ._mysql._option_file import read_option_file
from ._shop_api import Answer, LostAnswerError, NoAnswerError, ShopApi

OK: t.Final = "OK"
FAILED: t.Final = "FAILED"
NOT_RUN: t.Final = "NOT RUN"
_PAUSE_SECONDS = 0.5
_NO_CREDENTIALS = "nobody said with which account: larapee_backup_shop_credentials_file"


@dataclasses.dataclass(frozen=True)
class CheckRequest:
    """Paths are below ``base_url``. ``order_body`` empty: one piece of the first variant, marked as a test.

    ``sql_asserts``: each ``name``, ``query``, ``expect`` (the first column of the first row). ``commands``: each
    ``name`` and ``argv``. ``wait``: within so many seconds the health may become good.
    """

    base_url: str
    health_path: str = "/api/v1/health"
    login_path: str = "/api/v1/auth/login"
    order_path: str = "/api/v1/orders"
    variants_path: str = "/api/v1/variants"
    credentials_file: str = ""
    order_body: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    require: tuple[str, ...] = ("health", "login", "order")
    sql_asserts: tuple[t.Mapping[str, str], ...] = ()
    commands: tuple[t.Mapping[str, t.Any], ...] = ()
    option_file: str = ""
    database: str = ""
    ca_file: str = ""
    timeout: float = 15.0
    wait: float = 30.0


@dataclasses.dataclass(frozen=True)
class Check:
    name: str
    result: str
    why: str = ""
    seconds: float = 0.0


class _NotWellError(Exception):
    """Why a check failed, for a person."""


def check_shop(request: CheckRequest, *, check_mode: bool = False) -> list[Check]:
    """All checks in order; raises BackupError (``shop_not_well``, with them as facts) unless what is required is OK."""
    run = _Checking(request)
    run.take("health", run.health)
    if check_mode:
        others = ("login", "order", *(str(each["name"]) for each in (*request.sql_asserts, *request.commands)))
        return [*run.checks, *(Check(name, NOT_RUN, "a preview sells nothing") for name in others)]
    credentials = _read_credentials(request.credentials_file)
    if credentials is None:
        run.checks += [Check(name, NOT_RUN, _NO_CREDENTIALS) for name in ("login", "order")]
    elif run.take("login", lambda: run.login(credentials)):
        run.sell()
    else:
        run.checks.append(Check("order", NOT_RUN, "nobody could log in"))
    for wanted in request.sql_asserts:
        run.take(str(wanted["name"]), lambda wanted=wanted: run.ask_database(wanted))  # type: ignore[misc]
    for command in request.commands:
        run.take(str(command["name"]), lambda command=command: run.run_command(command))  # type: ignore[misc]
    known = {each.name for each in run.checks}
    run.checks += [
        Check(name, NOT_RUN, "there is no check of this name") for name in request.require if name not in known
    ]
    _judge(request, run.checks)
    return run.checks


def _judge(request: CheckRequest, checks: t.Sequence[Check]) -> None:
    bad = [each for each in checks if each.result == FAILED or (each.result != OK and each.name in request.require)]
    if bad:
        named = "; ".join(f"{each.name} {each.result}: {each.why}" for each in bad)
        raise BackupError(
            f"Failed to find the shop at {request.base_url} well: {named}. It is not to be opened like this.",
            reason="shop_not_well",
            facts={"checks": [dataclasses.asdict(each) for each in checks]},
        )


class _Checking:
    def __init__(self, request: CheckRequest) -> None:
        self.checks: list[Check] = []
        self._sent: t.Mapping[str, t.Any] = {}
        self._request = request
        self._api = ShopApi(request.base_url, ca_file=request.ca_file, timeout=request.timeout)

    def take(self, name: str, work: t.Callable[[], None]) -> bool:
        """Note what came of one check; whether it is OK."""
        begun = time.monotonic()
        result, why = OK, ""
        try:
            work()
        except (_NotWellError, NoAnswerError, BackupError) as exc:
            if isinstance(exc, BackupError) and exc.reason == "interrupted":
                raise
            result, why = FAILED, str(exc)
        self.checks.append(Check(name, result, why, round(time.monotonic() - begun, 3)))
        return result == OK

    def health(self) -> None:
        """PHP and its caches may need a moment after the start."""
        deadline = time.monotonic() + self._request.wait
        while True:
            try:
                self._api.ask("GET", self._request.health_path).require(200)
                return
            except NoAnswerError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_PAUSE_SECONDS)

    def login(self, credentials: t.Mapping[str, str]) -> None:
        self._api.hide(credentials["password"])
        answer = self._api.ask("POST", self._request.login_path, dict(credentials))
        token = answer.field("token")
        if 200 <= answer.status < 300 and (answer.status != 200 or not token):
            # Not shown: somewhere in it is a token, and nobody knows where.
            raise _NotWellError(f"the shop answers with {answer.status}, and not with 200 and a token")
        answer.require(200)
        self._api.log_in(token)

    def sell(self) -> None:
        """A sample order, and its removal, whatever the order's answer was."""
        key = str(uuid.uuid4())
        sold: list[str] = []
        unknown: list[str] = []

        def order() -> None:
            try:
                sold.append(self._order(key))
            except (LostAnswerError, _NotWellError) as exc:
                unknown.extend([str(exc)] if self._sent else [])
                raise

        try:
            self.take("order", order)
            if sold:
                self.take("order removed", lambda: self._remove(sold[0]))
            elif unknown:
                self.checks.append(Check("order removed", FAILED, f"{_perhaps(key)}: {unknown[0]}"))
        except BackupError as exc:
            self._settle(key, sold, exc)
            raise

    def _settle(self, key: str, sold: t.Sequence[str], interruption: BackupError) -> None:
        """Take the order back that was under way; further signals are ignored by now."""
        if not self._sent:
            return
        try:
            invoice = sold[0] if sold else self._order_once(self._sent, key).field("invoice")
            self._remove(invoice, again=bool(sold))
        except (_NotWellError, NoAnswerError, BackupError) as exc:
            raise BackupError(f"{interruption} {_perhaps(key)}: {exc}.", reason="interrupted") from exc

    def _order(self, key: str) -> str:
        body = dict(self._request.order_body) or self._sample()
        answer = self._order_once(body, key)
        invoice = answer.field("invoice")
        if not invoice:
            raise _NotWellError(f"the answer names no invoice: {answer.shown}")
        return invoice

    def _order_once(self, body: t.Mapping[str, t.Any], key: str) -> Answer:
        """The same key again after a lost answer: the shop gives the order that it made, and makes no second one."""
        headers = {"Idempotency-Key": key}
        try:
            self._sent = body
            return self._api.ask("POST", self._request.order_path, body, headers=headers).require(200, 201)
        except LostAnswerError:
            return self._api.ask("POST", self._request.order_path, body, headers=headers).require(200, 201)

    def _sample(self) -> dict[str, t.Any]:
        answer = self._api.ask("GET", self._request.variants_path).require(200)
        if not isinstance(answer.body, list) or not answer.body or "id" not in answer.body[0]:
            raise _NotWellError("the shop has nothing to sell: larapee_backup_shop_check.order_body says what to order")
        return {"items": [{"variant_id": answer.body[0]["id"], "quantity": 1}], "test": True}

    def _remove(self, invoice: str, *, again: bool = False) -> None:
        """404 is good when it was asked for before: it was removed that time."""
        path = f"{self._request.order_path}/{urllib.parse.quote(invoice, safe='')}"
        try:
            try:
                self._api.ask("DELETE", path).require(200, 204, *([404] if again else []))
            except LostAnswerError:
                self._api.ask("DELETE", path).require(200, 204, 404)
        except NoAnswerError as exc:
            raise _NotWellError(f"the sample order {invoice} is in the books, remove it by hand: {exc}") from exc

    def ask_database(self, wanted: t.Mapping[str, str]) -> None:
        options = read_option_file(self._request.option_file)
        # A query that waits for a lock must not keep the shop closed.
        with connect(options, read_timeout=self._request.timeout) as connection:
            connection.select_db(self._request.database)
            rows(connection, "START TRANSACTION READ ONLY")
            found = rows(connection, str(wanted["query"]))
        said = str(found[0][0]) if found else "nothing"
        if said != str(wanted["expect"]):
            raise _NotWellError(f"the query says {said[:100]}, and not {wanted['expect']}")

    def run_command(self, command: t.Mapping[str, t.Any]) -> None:
        done = _process.run([str(word) for word in command["argv"]], timeout=self._request.timeout)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            raise _NotWellError(f"status {done.returncode}: {self._api.masked(said)}")


def _perhaps(key: str) -> str:
    return f"an order with the idempotency key {key} may be in the books, remove it by hand"


def _read_credentials(path: str) -> dict[str, str] | None:
    """``email`` and ``password`` of a 0600 file with a line ``name=value`` each; None without a file."""
    if not path:
        return None
    _io.require_private_file(path, what="the shop's credentials")
    lines = _io.read_small(path).decode("utf-8", "replace").splitlines()
    found = {
        name.strip(): value.strip() for name, separator, value in (line.partition("=") for line in lines) if separator
    }
    if not (found.get("email") and found.get("password")) or "\ufffd" in found["email"] + found["password"]:
        raise BackupError(
            f"Failed to read the shop's credentials {path}: it needs a line email=... and a line "
            "password=..., in UTF-8.",
            reason="bad_credentials",
        )
    return {name: found[name] for name in ("email", "password")}


__all__ = ("FAILED", "NOT_RUN", "OK", "Check", "CheckRequest", "check_shop")
