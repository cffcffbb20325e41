# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server of our own, for the time of one restore, in a directory that goes with it.

It holds the shop's rows in clear: it is killed with the process that started it, its directory is held with flock, and
what a killed restore left is removed by the next one.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import typing as t

from . import _io, _process, _scratch_server
from ._errors import BackupError
from ._mysql import _accounts
from ._mysql._connection import Server, connect, identify, rows
from ._scratch_server import Programs, Wanted

if t.TYPE_CHECKING:
    from pymysql.connections import Connection

LOADER: t.Final = "larapee-restore"
_PREFIX: t.Final = "restore-"
_DIRECTORIES: t.Final = ("data", "tmp", "files", "plugins", "run")
_ACCOUNT: t.Final = "mysql"
_SOCKET: t.Final = "mysqld.sock"
_LONGEST_SOCKET: t.Final = 107
_SOCKET_DIRECTORY: t.Final = "socket-directory"
_SOCKET_PREFIX: t.Final = "larapee-scratch-"
_INSTALL_SECONDS: t.Final = 300.0
_START_SECONDS: t.Final = 300.0
_LOG_TAIL: t.Final = 600


class Scratch:
    """``datadir`` is made, the server is not started yet; relay logs are placed between the two.

    *lasting*: the seconds for which the server may outlive this process; 0 lets it die with it. *environment*: what its
    processes bear besides.
    """

    def __init__(
        self,
        path: str,
        *,
        programs: Programs,
        wanted: Wanted,
        lasting: float = 0.0,
        environment: t.Mapping[str, str] | None = None,
    ) -> None:
        self._lasting = lasting
        self._environment = dict(environment or {})
        self.path = path
        self.programs = programs
        self.wanted = wanted
        self.directories = {name: os.path.join(path, name) for name in _DIRECTORIES}
        self.datadir = self.directories["data"]
        self.server: Server | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._account = _account_for(path)
        self._socket_directory = self.directories["run"]
        self._log = os.path.join(path, "error.log")

    @property
    def socket(self) -> str:
        return os.path.join(self._socket_directory, _SOCKET)

    @property
    def options(self) -> dict[str, str]:
        """As of an option file, of its administrator."""
        return {"user": "root", "socket": self.socket}

    @property
    def loader_options(self) -> dict[str, str]:
        """Of an account that may fill and read the one schema, and nothing else."""
        return {"user": LOADER, "socket": self.socket}

    @property
    def option_file(self) -> str:
        return os.path.join(self.path, "root.cnf")

    @property
    def loader_file(self) -> str:
        return os.path.join(self.path, "loader.cnf")

    def install(self) -> None:
        """Make the data directory; raises BackupError (``scratch_failed``)."""
        for directory in self.directories.values():
            os.mkdir(directory, 0o700)
        with open(self._log, "ab"):
            pass
        if len(os.fsencode(self.socket)) > _LONGEST_SOCKET:
            self._socket_directory = tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir="/tmp")  # noqa: S108 - 0700, of our own
            _io.write_file(os.path.join(self.path, _SOCKET_DIRECTORY), os.fsencode(self._socket_directory))
        if self._account is not None:
            own = (*self.directories.values(), self._log, self._socket_directory, self.path)
            for path in own:
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        argv = _scratch_server.install_command(self.programs, self.directories, user=self._user, wanted=self.wanted)
        process = self._start(argv)
        try:
            status = process.wait(timeout=_INSTALL_SECONDS)
        except subprocess.TimeoutExpired as exc:
            raise self._failure("install", f"not done in {_INSTALL_SECONDS:.0f} seconds") from exc
        finally:
            self.close()
        if status != 0:
            raise self._failure("install", f"{os.path.basename(argv[0])} ended with status {status}")
        for path, user in ((self.option_file, "root"), (self.loader_file, LOADER)):
            _io.write_file(path, f'[client]\nuser={user}\nsocket="{self.socket}"\n'.encode())

    def own(self, path: str) -> None:
        """Give a file that was placed in the data directory to the server's account."""
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def start(self) -> Server:
        """Start the server and wait until it answers; raises BackupError (``scratch_failed``) with its last words."""
        argv = _scratch_server.server_command(
            self.programs, self.directories, user=self._user, socket=self.socket, wanted=self.wanted
        )
        if self._lasting:
            argv = [_process.find_tool("timeout"), "--signal=KILL", f"{self._lasting:.0f}", *argv]
        self._process = self._start(argv)
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None:
            try:
                with connect(self.options) as connection:
                    self.server = identify(connection)
                    self._make_loader(connection, self.server)
                    return self.server
            except BackupError as exc:
                if exc.reason != "database_unreachable":
                    raise
            if time.monotonic() > deadline:
                raise self._failure("start", f"no answer in {_START_SECONDS:.0f} seconds")
            time.sleep(0.05)
        raise self._failure("start", f"it ended with status {self._process.returncode}")

    def _make_loader(self, connection: Connection, server: Server) -> None:
        who = _accounts.account(LOADER, "localhost")
        wanted = _accounts.wanted("restorer", server=server, database=self.wanted.database)
        rows(connection, f"CREATE USER {who}")
        for statement in _accounts.grant_statements(who, _accounts.Held(), wanted):
            rows(connection, statement)
        # The shop's own questions may call its functions.
        rows(connection, f"GRANT EXECUTE ON {_accounts.schema_scope(self.wanted.database)} TO {who}")

    def describe(self, error: BackupError) -> BackupError:
        """*error*, or that the server has died when that is what lies behind it."""
        if self._process is not None and self._process.poll() is not None:
            return self._failure("use", f"it ended with status {self._process.returncode}")
        return error

    @property
    def _user(self) -> str:
        return self._account.pw_name if self._account is not None else pwd.getpwuid(os.geteuid()).pw_name

    def _start(self, argv: t.Sequence[str]) -> subprocess.Popen[bytes]:
        environment = {**_process.reduced_environment(), "TMPDIR": self.directories["tmp"], **self._environment}
        # The source meant its own local time by SYSTEM; this host's is the nearest to it.
        environment.pop("TZ", None)
        if "TZ" in os.environ:
            environment["TZ"] = os.environ["TZ"]
        account: dict[str, t.Any] = {}
        if self._account is not None:
            # Before the call that ties it to this process: a server that changes its account itself loses that tie.
            account = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        with open(self._log, "ab") as log:
            try:
                # The server's own program, found by name.
                self._process = subprocess.Popen(  # noqa: S603 # pylint: disable=ansible-bad-function
                    list(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.directories["tmp"],
                    env=environment,
                    start_new_session=True,
                    preexec_fn=None if self._lasting else _process.die_with_parent,
                    **account,
                )
            except (OSError, subprocess.SubprocessError) as exc:
                raise self._failure("start", str(exc)) from exc
        return self._process

    def _failure(self, verb: str, why: str) -> BackupError:
        return BackupError(
            f"Failed to {verb} the scratch server in {self.path}: {why}{self._last_words()}. The target was not "
            "changed. Check free space, memory and permissions there, or set larapee_backup_restore_scratch_path.",
            reason="scratch_failed",
        )

    def _last_words(self) -> str:
        try:
            with open(self._log, "rb") as handle:
                handle.seek(max(0, os.fstat(handle.fileno()).st_size - 4 * _LOG_TAIL))
                lines = [line.strip() for line in handle.read().decode("utf-8", "replace").splitlines() if line.strip()]
        except OSError:
            return ""
        telling = [line for line in lines if "[ERROR]" in line or "ERROR:" in line] or lines[-3:]
        return f" ({' '.join(telling)[-_LOG_TAIL:].rstrip('.')})" if telling else ""

    def close(self) -> None:
        """Kill the server; nothing of it is needed any more."""
        process = self._process
        if process is not None:
            if process.poll() is None:
                process.kill()
            process.wait()

    def remove(self) -> None:
        self.close()
        _remove(self.path)


@contextlib.contextmanager
def scratch(base: str, *, run_id: str, programs: Programs, wanted: Wanted) -> t.Iterator[Scratch]:
    """Give a scratch in *base*, installed; nothing is left of it in the end. Sweeps what killed ones left there."""
    _io.ensure_directory(base)
    path = os.path.join(os.path.realpath(base), f"{_PREFIX}{run_id}")
    with contextlib.ExitStack() as stack:
        try:
            with _turn(base):
                sweep(base)
                os.mkdir(path, 0o700)
                stack.callback(_remove, path)
                stack.enter_context(_held(path))
            found = Scratch(path, programs=programs, wanted=wanted)
            stack.callback(found.remove)
            found.install()
        except OSError as exc:
            raise BackupError(
                f"Failed to make a scratch server in {base}: {exc.strerror}. Check free space and permissions there, "
                "or set larapee_backup_restore_scratch_path.",
                reason="scratch_failed",
            ) from exc
        yield found


@contextlib.contextmanager
def _held(directory: str) -> t.Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _turn(base: str) -> contextlib.AbstractContextManager[None]:
    """Between making a directory and holding it, no other restore may take it for a leftover."""
    return _held(base)


def sweep(base: str) -> list[str]:
    """Remove what killed restores left in *base*; return their names. What another live process holds stays."""
    removed = []
    for name in sorted(os.listdir(base)):
        path = os.path.join(base, name)
        if not name.startswith(_PREFIX) or os.path.islink(path) or not os.path.isdir(path):
            continue
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
            removed.append(name)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
    return removed


def require_space(base: str, *, plain_bytes: int, log_bytes: int) -> int:
    """The bytes that a scratch takes; raises BackupError (``scratch_space``) when *base* has less."""
    needed = int(plain_bytes * 1.6) + log_bytes + _scratch_server.MARGIN_BYTES
    existing = base
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    free = _io.free_bytes(existing)
    if free < needed:
        raise BackupError(
            f"Failed to replay in {base}: it has {free} bytes free, the scratch server needs {needed}. Free space, or "
            "set larapee_backup_restore_scratch_path to a larger disk.",
            reason="scratch_space",
            facts={"needed": needed, "free": free},
        )
    return needed


def _account_for(path: str) -> pwd.struct_passwd | None:
    """The server's account when we are root and it can get to *path*; None to run it as ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        account = pwd.getpwnam(_ACCOUNT)
        # A fixed command.
        reached = subprocess.run(  # noqa: S603 # pylint: disable=ansible-bad-function
            [_process.find_tool("test"), "-x", os.path.dirname(path)],
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            check=False,
            timeout=60,
        )
    except (KeyError, OSError, subprocess.SubprocessError, BackupError):
        return None
    return account if reached.returncode == 0 else None


def _remove(path: str) -> None:
    """Remove a scratch with all that belongs to it; what is not there is no fault."""
    with contextlib.suppress(OSError, ValueError):
        elsewhere = os.fsdecode(_io.read_small(os.path.join(path, _SOCKET_DIRECTORY), limit=4096))
        if os.path.basename(elsewhere).startswith(_SOCKET_PREFIX) and not os.path.islink(elsewhere):
            shutil.rmtree(elsewhere, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


__all__ = ("LOADER", "Scratch", "require_space", "scratch", "sweep")
