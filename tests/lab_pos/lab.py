# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab POS in a directory of its own: nginx and php-fpm as the role configures them, on a throwaway server."""

from __future__ import annotations

import base64
import contextlib
import getpass
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import yaml

from larapee_runner.demo.server import find_program

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pymysql

    from larapee_runner.demo.server import ThrowawayServer

ROLE = Path(__file__).resolve().parents[2] / "roles/lab_pos"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
CASHIER = "cashier@lab.example"
WRAPPER = """
daemon off;
pid {root}/nginx.pid;
error_log {root}/nginx-error.log;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {root}/nginx-body;
    fastcgi_temp_path {root}/nginx-fastcgi;
    proxy_temp_path {root}/nginx-proxy;
    scgi_temp_path {root}/nginx-scgi;
    uwsgi_temp_path {root}/nginx-uwsgi;
    include {root}/site.conf;
}}
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)


def role_file(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))
    return values


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class LabPos:
    """Use it as a context manager; all that it starts ends with it."""

    def __init__(self, server: ThrowawayServer, root: Path) -> None:
        self.server = server
        self.root = root
        self.app = root / "app"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.password = secrets.token_urlsafe(12)
        self.app_key = "base64:" + base64.b64encode(secrets.token_bytes(32)).decode()
        self._database_password = secrets.token_urlsafe(12)
        self._processes: list[subprocess.Popen[bytes]] = []
        # A socket's path is short; the directory of a test need not be.
        self._fpm_socket = server.socket.parent / "fpm.sock"

    @property
    def public(self) -> Path:
        return self.app / "storage/app/public"

    def install(self) -> None:
        """What the role does with its tasks."""
        shutil.copytree(ROLE / "files/app", self.app)
        constants = role_file("vars/main.yml")
        for directory in constants["_lab_pos_writable"]:
            (self.app / directory).mkdir(parents=True, exist_ok=True)
        variables = {
            **role_file("defaults/main.yml"),
            **constants,
            "lab_pos_app_path": str(self.app),
            "lab_pos_database_socket": str(self.server.socket),
            "lab_pos_listen": f"127.0.0.1:{self.port}",
            "_lab_pos_account": getpass.getuser(),
            "_lab_pos_fpm_socket": str(self._fpm_socket),
            "__lab_pos_app_key": self.app_key,
            "__lab_pos_database_password": self._database_password,
        }
        templates = {"env.j2": self.app / ".env", "nginx-site.conf.j2": self.root / "site.conf"}
        templates["fpm-pool.conf.j2"] = self.root / "pool.conf"
        for name, path in templates.items():
            self._render(name, path, variables)
        self._make_database(variables["lab_pos_database"], variables["lab_pos_database_account"])
        self.artisan("migrate", "--force")
        self.seed()

    @staticmethod
    def _render(name: str, path: Path, variables: dict[str, Any]) -> None:
        loader = jinja2.FileSystemLoader(ROLE / "templates")
        # The text goes to nginx, php-fpm and a shell-like file: there is no HTML to escape.
        environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)  # noqa: S701
        path.write_text(environment.get_template(name).render(variables) + "\n", encoding="utf-8")

    def _make_database(self, database: str, account: str) -> None:
        self.database = database
        with contextlib.closing(self.server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{database}`")
            cursor.execute(f"CREATE USER '{account}'@'localhost' IDENTIFIED BY %s", (self._database_password,))
            cursor.execute(f"GRANT ALL ON `{database}`.* TO '{account}'@'localhost'")

    def seed(self) -> str:
        cashier = {"POS_CASHIER_EMAIL": CASHIER, "POS_CASHIER_PASSWORD": self.password}
        return self.artisan("db:seed", "--force", environment=cashier).stdout

    def artisan(
        self, *arguments: str, environment: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["php", str(self.app / "artisan"), "--no-ansi", "--no-interaction", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
            timeout=60,
        )
        assert not check or done.returncode == 0, f"artisan {arguments}: {done.stdout}{done.stderr}"
        return done

    def work(self, **environment: str) -> str:
        """Let a worker do what is queued."""
        return self.artisan("queue:work", "--stop-when-empty", "--sleep=0", environment=environment).stdout

    def spawn(self, *argv: str) -> subprocess.Popen[bytes]:
        """A process that dies with the test, also when the test is killed."""
        guard = find_program("setpriv", package="util-linux")
        with (self.root / "processes.log").open("ab") as log:
            process = subprocess.Popen(
                [guard, "--pdeathsig", "TERM", *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._processes.append(process)
        return process

    def start(self) -> None:
        root = os.geteuid() == 0
        user = f"user {getpass.getuser()};" if root else ""
        (self.root / "nginx.conf").write_text(WRAPPER.format(root=self.root, user=user), encoding="utf-8")
        (self.root / "fpm.conf").write_text(
            f"[global]\nerror_log = {self.root}/fpm.log\ndaemonize = no\ninclude = {self.root}/pool.conf\n",
            encoding="utf-8",
        )
        fpm = next(path for path in sorted(Path("/usr/sbin").glob("php-fpm*")))
        as_root = ["--allow-to-run-as-root"] if root else []
        self.spawn(str(fpm), "--nodaemonize", *as_root, "--fpm-config", str(self.root / "fpm.conf"))
        nginx = find_program("nginx", package="nginx-light")
        self.spawn(nginx, "-p", str(self.root), "-e", str(self.root / "nginx-error.log"), "-c", "nginx.conf")
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError):
                if self.get("health").status == http.HTTPStatus.OK:
                    return
            logs = "".join(path.read_text(errors="replace") for path in sorted(self.root.glob("*.log")))
            assert time.monotonic() < deadline, f"the lab POS does not answer: {logs}"
            time.sleep(0.05)

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self._processes):
            try:
                process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def __enter__(self) -> LabPos:
        try:
            self.install()
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def ask(
        self, method: str, path: str, body: object = None, *, token: str = "", headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        try:
            content = body if isinstance(body, bytes) else json.dumps(body)
            place = path if path.startswith("/") else f"/api/v1/{path}"
            connection.request(method, place, None if body is None else content, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, *, token: str = "") -> Answer:
        return self.ask("GET", path, token=token)

    def login(self) -> str:
        answer = self.ask("POST", "auth/login", {"email": CASHIER, "password": self.password})
        assert answer.status == http.HTTPStatus.OK, answer
        return str(answer.body["token"])

    def order(self, token: str, *, key: str | None = None, **more: Any) -> Answer:
        order = {"items": [{"variant_id": 1, "quantity": 2}], **more}
        return self.ask("POST", "orders", order, token=token, headers={"Idempotency-Key": key or secrets.token_hex(16)})

    def upload(self, token: str, invoice: str, content: bytes) -> Answer:
        boundary = secrets.token_hex(12)
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="invoice"\r\n\r\n{invoice}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="slip"; filename="../slip.png"\r\n'
            "Content-Type: image/png\r\n\r\n"
        ).encode()
        body += content + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self.ask("POST", "uploads", body, token=token, headers=headers)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        connection: pymysql.connections.Connection[pymysql.cursors.Cursor] = self.server.connect(database=self.database)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())


__all__ = ("CASHIER", "ROLE", "Answer", "LabPos", "free_port", "role_file")
