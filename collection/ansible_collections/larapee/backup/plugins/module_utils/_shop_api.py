# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to the API of a shop: one connection each, no proxy, no redirect, and no secret in what is told of them.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import socket
import ssl
import threading
import typing as t
import urllib.parse

from ._errors import BackupError

_LARGEST_ANSWER = 1024 * 1024
_GATEWAY_GAVE_UP = (502, 504)
_SHOWN = 200


class NoAnswerError(Exception):
    """There was no answer, or not the one that was wanted; the message says which."""


class LostAnswerError(NoAnswerError):
    """Whether the shop did what it was asked for is not known."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """``body`` is what the JSON says, None when it is none; ``shown`` its beginning, without secrets."""

    status: int
    body: t.Any
    shown: str

    def require(self, *statuses: int) -> Answer:
        if self.status in _GATEWAY_GAVE_UP:
            raise LostAnswerError(f"the shop answers with {self.status}: {self.shown}")
        if self.status not in statuses:
            raise NoAnswerError(f"the shop answers with {self.status}: {self.shown}")
        return self

    def field(self, name: str) -> str:
        found = self.body.get(name) if isinstance(self.body, dict) else None
        return found if isinstance(found, str) else ""


class ShopApi:
    """``base_url`` as ``http://127.0.0.1`` or ``https://pos.example``; ``timeout``: seconds to the end of an answer."""

    def __init__(self, base_url: str, *, ca_file: str = "", timeout: float) -> None:
        parts = urllib.parse.urlsplit(base_url)
        if "@" in parts.netloc:
            # Without the URL: it would be told wherever this is.
            raise BackupError(
                f"Failed to use the shop's URL of {parts.hostname}: it has an account in it. Write it into the file of "
                "larapee_backup_shop_credentials_file.",
                reason="bad_request",
            )
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BackupError(
                f"Failed to use the shop's URL {base_url!r}: write http://host or https://host.", reason="bad_request"
            )
        self._base = parts
        self._timeout = timeout
        try:
            self._port = parts.port
            self._context = ssl.create_default_context(cafile=ca_file or None) if parts.scheme == "https" else None
        except (OSError, ValueError) as exc:
            raise BackupError(
                f"Failed to use the shop's URL {base_url!r} and the certificates {ca_file or 'of the system'}: {exc}.",
                reason="bad_request",
            ) from exc
        self._token = ""
        self._secrets: list[str] = []

    def hide(self, secret: str) -> None:
        """Also as JSON and forms write it; PHP's JSON escapes the slash and all that is not ASCII."""
        quoted = [json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
        forms = {secret, *quoted, urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret)}
        forms |= {each.replace("/", "\\/") for each in (secret, *quoted)}
        self._secrets = sorted({*self._secrets, *forms} - {""}, key=len, reverse=True)

    def log_in(self, token: str) -> None:
        self._token = token
        self.hide(token)

    def ask(self, method: str, path: str, body: object = None, *, headers: t.Mapping[str, str] | None = None) -> Answer:
        """The answer, whatever its status; raises NoAnswerError without one."""
        sent = {"Accept": "application/json", "Content-Type": "application/json", **(headers or {})}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        content = None if body is None else json.dumps(body)
        try:
            with contextlib.closing(self._connection()) as connection, self._within_time(connection):
                connection.request(method, self._base.path.rstrip("/") + path, content, sent)
                response = connection.getresponse()
                raw = response.read(_LARGEST_ANSWER)
                # A read of limited size takes an end before the announced one for the end.
                if response.length and len(raw) < _LARGEST_ANSWER:
                    raise http.client.IncompleteRead(raw, response.length)
        except (OSError, http.client.HTTPException) as exc:
            cause = self.masked(str(exc)) or exc.__class__.__name__
            raise LostAnswerError(f"no answer from {self._base.geturl()}: {cause}") from exc
        except ValueError:
            # Without its cause: that names the header, and with it the token.
            raise NoAnswerError(
                "the request cannot be written: path or token have characters that HTTP has not"
            ) from None
        return self._answer(response.status, raw)

    @contextlib.contextmanager
    def _within_time(self, connection: http.client.HTTPConnection) -> t.Iterator[None]:
        """A socket's timeout is for each read: a byte now and then would hold a restore for ever."""
        connection.connect()
        ending = threading.Timer(self._timeout, _shut, (connection.sock,))
        ending.daemon = True
        ending.start()
        try:
            yield
        finally:
            ending.cancel()

    def masked(self, text: str) -> str:
        """The beginning of *text*, without what is to be hidden."""
        for secret in self._secrets:
            text = text.replace(secret, "...")
        return "".join(character if character.isprintable() else " " for character in text)[:_SHOWN]

    def _answer(self, status: int, raw: bytes) -> Answer:
        text = raw.decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        return Answer(status, body, self.masked(text))

    def _connection(self) -> http.client.HTTPConnection:
        host = str(self._base.hostname)
        if self._context is None:
            return http.client.HTTPConnection(host, self._port, timeout=self._timeout)
        return http.client.HTTPSConnection(host, self._port, timeout=self._timeout, context=self._context)


def _shut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # The plain socket's method: that of TLS would take its state away from under the read.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


__all__ = ("Answer", "LostAnswerError", "NoAnswerError", "ShopApi")
