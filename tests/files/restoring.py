# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of file restores share: a place filled with any tar one likes, and pictures by stock tools."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _names, _signature
from ansible_collections.larapee.backup.plugins.module_utils._file_restore import (
    FileRestoreOutcome,
    FileRestoreRequest,
    restore_files,
)
from tests.database.estate import Keys, make_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

BRANCH = "branch-001"
EPOCH = "6a0b6e0c-1a44-4f0e-8b1e-0a3a52c0f6de"
SHOP_RUN = "0b8f3f4e-6f2b-4f43-9d5c-0d5f5a1f2a11"
_TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
}


@pytest.fixture(scope="session")
def restorers_keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def restoring(tmp_path: Path, restorers_keys: Keys) -> Restoring:
    return Restoring(tmp_path, restorers_keys)


def child_environment(**more: str) -> dict[str, str]:
    """What a Python process of its own needs to import what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


class Restoring:
    """A place of one branch, whose artifacts are made of bytes that a test gives, and restores from it."""

    def __init__(self, root: Path, keys: Keys) -> None:
        self.root = root
        self.keys = keys
        self.place = root / "place"
        self.place.mkdir()
        self.state = root / "state"
        self.target = root / "target"
        self._minute = 0
        self._sequence: dict[str, int] = {}
        self._chain: list[str] = []

    def full(self, archive: bytes, **changes: Any) -> str:
        name = self.publish("files_full", archive, **changes)
        self._chain = [name]
        return name

    def increment(self, archive: bytes, **changes: Any) -> str:
        facts = {"base": self._chain[0], "previous": self._chain[-1], **changes}
        name = self.publish("files_increment", archive, **facts)
        self._chain.append(name)
        return name

    def config(self, archive: bytes, **changes: Any) -> str:
        return self.publish("config", archive, **changes)

    def publish(
        self,
        kind: str,
        archive: bytes,
        *,
        index: Sequence[Mapping[str, Any]] | None = None,
        encrypt: bool = True,
        signer: str = BRANCH,
        deleted: Sequence[str] = (),
        entries: int | None = None,
        tree: Mapping[str, int] | None = None,
        **changes: Any,
    ) -> str:
        """Place an artifact of *archive*, its index (true, unless given), signature and manifest; return its name."""
        self._minute += 1
        self._sequence[kind] = self._sequence.get(kind, 0) + 1
        prefix = "config" if kind == "config" else "public-uploads"
        ending = ".incr.tar.zst" if kind == "files_increment" else ".tar.zst"
        name = (
            f"{prefix}-20261122-{14 + self._minute // 60:02d}{self._minute % 60:02d}{ending}{'.age' if encrypt else ''}"
        )
        lines = list(true_index(archive)) if index is None else list(index)
        if entries is None:
            entries = len([line for line in lines if line["type"] in _TYPES.values()])
        lines += [{"path": path, "type": "deleted"} for path in deleted]
        plain_index = index_bytes(lines, entries=entries, deletions=len(deleted))
        stored, stored_index = self._store(archive, encrypt=encrypt), self._store(plain_index, encrypt=encrypt)
        created_at = f"2026-11-22T14:{self._minute:02d}:10Z"
        companion = {
            **digest("", stored_index),
            **digest("plain_", plain_index),
        }
        document: dict[str, Any] = {
            "schema": 1,
            "artifact": name,
            "branch": BRANCH,
            "kind": kind,
            "format": "tar",
            "sequence": self._sequence[kind],
            "set": self._minute,
            "epoch": EPOCH,
            "created_at": created_at,
            "run_id": SHOP_RUN,
            **digest("", stored),
            **digest("plain_", archive),
            "compression": "zstd",
            "encryption": {"recipients": list(self.keys.recipients)} if encrypt else None,
            "base": None,
            "previous": None,
            "tool_versions": {},
            "entries": entries,
            "deletions": len(deleted),
            "tree": dict(tree) if tree else {"entries": entries, "bytes": 0},
            "problems": {"changed": 0, "vanished": 0, "unreadable": 0, "skipped": 0},
            "companion": companion,
            **changes,
        }
        path = self.place / name
        path.write_bytes(stored)
        if document["companion"] is not None:
            (self.place / _names.companion_name(name)).write_bytes(stored_index)
        self.sign(name, document, signer=signer)
        return name

    def sign(self, name: str, document: Mapping[str, Any], *, signer: str = BRANCH) -> None:
        raw = json.dumps(document).encode()
        (self.place / (name + _names.MANIFEST_SUFFIX)).write_bytes(raw)
        signature = _signature.sign(raw, key=str(self.keys.directory / signer))
        (self.place / (name + _names.SIGNATURE_SUFFIX)).write_bytes(signature)

    def manifest(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.place / (name + _names.MANIFEST_SUFFIX)).read_bytes())
        return document

    def _store(self, plain: bytes, *, encrypt: bool) -> bytes:
        packed = subprocess.run(["zstd", "-q", "-c"], input=plain, check=True, capture_output=True).stdout
        if not encrypt:
            return packed
        argv = ["age", *(item for recipient in self.keys.recipients for item in ("-r", recipient))]
        return subprocess.run(argv, input=packed, check=True, capture_output=True).stdout

    def request(self, **changes: Any) -> FileRestoreRequest:
        request = FileRestoreRequest(
            branch=BRANCH,
            content="uploads",
            source=str(self.place),
            allowed_signers=str(self.keys.allowed_signers),
            target=str(self.target),
            state_path=str(self.state),
            run_id=str(uuid.uuid4()),
            identity=self.keys.identity,
        )
        return dataclasses.replace(request, **changes)

    def restore(self, *, check_mode: bool = False, **changes: Any) -> FileRestoreOutcome:
        return restore_files(self.request(**changes), check_mode=check_mode)

    def beside(self) -> set[str]:
        """What lies in the directory of the target."""
        return set(os.listdir(self.root))


def digest(prefix: str, content: bytes) -> dict[str, Any]:
    return {f"{prefix}size": len(content), f"{prefix}sha256": hashlib.sha256(content).hexdigest()}


def true_index(archive: bytes) -> list[dict[str, Any]]:
    """The index that fits *archive*, as Python's own tarfile understands it."""
    lines = []
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:", encoding="utf-8") as reader:
        for member in reader:
            name = member.name[2:] if member.name.startswith("./") else member.name
            line: dict[str, Any] = {
                "path": name,
                "type": _TYPES.get(member.type, "odd"),
                "mode": member.mode & 0o7777,
                "uid": member.uid,
                "gid": member.gid,
                "mtime_ns": nanoseconds(member),
            }
            if line["type"] == "file":
                content = reader.extractfile(member)
                assert content is not None
                line["sha256"] = hashlib.file_digest(content, "sha256").hexdigest()
                line["size"] = member.size
            elif line["type"] in ("symlink", "hardlink"):
                line["target"] = member.linkname
                if line["type"] == "hardlink" and line["target"].startswith("./"):
                    line["target"] = line["target"][2:]
            lines.append(line)
    return lines


def nanoseconds(member: tarfile.TarInfo) -> int:
    seconds, _point, fraction = member.pax_headers.get("mtime", str(int(member.mtime))).partition(".")
    value = abs(int(seconds)) * 10**9 + int(fraction[:9].ljust(9, "0"))
    return -value if seconds.startswith("-") else value


def index_bytes(lines: Sequence[Mapping[str, Any]], *, entries: int, deletions: int) -> bytes:
    end = {"type": "end", "entries": entries, "deletions": deletions}
    return b"".join(json.dumps(line).encode() + b"\n" for line in (*lines, end))


def member(name: str, content: bytes | None = None, **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A member for :func:`tar`: a file of *content*, a directory (trailing slash), or what ``type`` says."""
    info = tarfile.TarInfo(name.rstrip("/") if name != "/" else name)
    info.mtime = 1_700_000_000
    info.mode = 0o644
    if content is not None:
        info.size = len(content)
    elif name.endswith("/") and "type" not in attributes:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    names = attributes.pop("names", None)
    if names is not None:
        info.pax_headers["GNU.dumpdir"] = "".join(f"{each}\0" for each in names) + "\0"
    for key, value in attributes.pop("xattrs", {}).items():
        # tarfile writes the bytes of lone surrogates as they are
        info.pax_headers[f"SCHILY.xattr.{key}"] = value.decode("utf-8", "surrogateescape")
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content or b""


def tar(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002 - as tarfile
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=format, encoding="utf-8") as writer:
        for info, content in members:
            writer.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def stock_tar(directory: Path, *options: str) -> bytes:
    """All of *directory* as GNU tar archives it."""
    argv = ["tar", "--format=pax", "--sort=name", "--xattrs", *options, "-C", str(directory), "-c", "."]
    return subprocess.run(argv, check=True, capture_output=True).stdout


def picture(directory: Path) -> str:
    """Everything about a tree that a restore must bring back, by find, sha256sum and listing of attributes."""
    environment = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ["PATH"]}
    form = "%P %y mode=%m owner=%U:%G size=%s time=%T@ links=%n to=%l\\0"
    argv = ["find", ".", "(", "-type", "d", "-printf", form.replace("size=%s ", "").replace("links=%n ", ""), ")"]
    argv += ["-o", "-printf", form]
    found = subprocess.run(argv, cwd=directory, env=environment, check=True, capture_output=True).stdout
    sums = subprocess.run(
        ["find", ".", "-type", "f", "-exec", "sha256sum", "-z", "{}", "+"],
        cwd=directory,
        env=environment,
        check=True,
        capture_output=True,
    ).stdout
    lines = sorted(found.split(b"\0")) + sorted(sums.split(b"\0"))
    attributes = []
    for path, directories, files in os.walk(os.fsencode(directory)):
        for name in (*directories, *files):
            whole = os.path.join(path, name)
            for key in sorted(os.listxattr(whole, follow_symlinks=False)):
                value = os.getxattr(whole, key, follow_symlinks=False)
                attributes.append(f"{os.path.relpath(whole, os.fsencode(directory))!r} {key}={value!r}")
    return "\n".join([*(line.decode("utf-8", "backslashreplace") for line in lines), *sorted(attributes)])
