# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What making any artifact has in common: checks before it, its number, its signature, what follows it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import os
import typing as t

from . import _catalog, _clock, _compress, _encrypt, _manifest, _names, _process, _sequence, _signature
from ._errors import BackupError
from ._quota import Allowance

_GROWTH = 1.3


class Signing(t.Protocol):
    """What signing in a branch's name takes."""

    @property
    def branch(self) -> str: ...
    @property
    def signing_key(self) -> str: ...
    @property
    def allowed_signers(self) -> str | None: ...


class Making(Signing, t.Protocol):
    """What every request for an artifact says. Paths are on this host; sizes are bytes.

    ``recipients`` is empty only when ``encrypt`` is false. ``allowed_signers``: where given, an artifact whose
    signature it does not accept is not published.
    """

    @property
    def local_path(self) -> str: ...
    @property
    def state_path(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def compression(self) -> str: ...
    @property
    def encrypt(self) -> bool: ...
    @property
    def recipients(self) -> tuple[str, ...]: ...
    @property
    def reserve_bytes(self) -> int: ...
    @property
    def quota_bytes(self) -> int: ...


class Surroundings:
    """The place as a maker finds it: the credible part of its catalogue, and the last number given (0: not known)."""

    def __init__(self, making: Making, *, kind: str, check_mode: bool) -> None:
        self.kind = kind
        self.branch = making.branch
        self.warnings: list[str] = []
        self.catalogue = _catalog.Catalogue(directory=making.local_path, entries=(), problems={}, unmanaged=())
        self.last = 0
        if not check_mode or os.path.isdir(making.local_path):
            self._read(making)

    def _read(self, making: Making) -> None:
        found = _catalog.read_catalogue(making.local_path)
        try:
            self.last = _sequence.last_given(making.state_path, branch=self.branch, kind=self.kind)
        except _sequence.SequenceError as exc:
            self.warnings.append(f"Numbers go on from the catalogue: {exc}.")
        self.catalogue = _sequence.credible(
            found, last=self.last, branch=self.branch, kind=self.kind, allowed_signers=making.allowed_signers
        )
        counting = {entry.name for entry in self.catalogue.entries}
        never_given = [entry.name for entry in found.entries if entry.name not in counting]
        if never_given:
            self.warnings.append(f"Their numbers were never given, so they do not count: {', '.join(never_given)}.")

    def newest(self, kind: str) -> _catalog.Entry | None:
        """The newest artifact of *kind* that this project made (not adopted) for the branch."""
        own = [entry for entry in self.catalogue.of_kind(kind, branch=self.branch) if entry.manifest.sequence]
        return own[-1] if own else None

    def note_clock(self, now: dt.datetime) -> list[str]:
        """A warning when the clock stands before what was made before."""
        newest = self.newest(self.kind)
        if newest is None or newest.manifest.created_at <= now:
            return []
        return [
            f"The clock says {_manifest.format_time(now)}, before the last artifact {newest.name}. Check this host's "
            "clock; order is kept by sequence number."
        ]


def check_request(making: Making) -> None:
    """Raise BackupError when an artifact asked for like this could not be made, or would be accepted by nobody."""
    check_signing(making)
    if making.encrypt:
        _encrypt.encryptor(making.recipients)
    _compress.compressor(making.compression)


def recipient_warnings(making: Making) -> list[str]:
    """What preflight says where a host is prepared, for one that nobody prepared."""
    if not making.encrypt or not _encrypt.is_alone(making.recipients):
        return []
    return [
        "It is encrypted to one recipient: who loses that identity loses every backup. Add the public key of a second "
        "one, kept elsewhere, to larapee_backup_age_recipients."
    ]


def check_signing(making: Signing) -> None:
    """Raise BackupError when nobody would accept what is signed now in the name of this branch."""
    if not _names.is_branch_code(making.branch):
        raise BackupError(
            f"Failed to use the branch {making.branch!r}: a branch's code has letters, digits, dots, dashes and "
            "underscores only. Set larapee_backup_branch.",
            reason="bad_branch",
        )
    sign(making, b"", at=_clock.now())


def sign(making: Signing, message: bytes, *, at: dt.datetime) -> bytes:
    """Sign *message*; raise BackupError when those who verify would not accept that *at* that time."""
    signature = _signature.sign(message, key=making.signing_key)
    if making.allowed_signers is not None:
        try:
            _signature.verify(
                message, signature, principal=making.branch, allowed_signers=making.allowed_signers, at=at
            )
        except _signature.SignatureError as exc:
            raise BackupError(
                f"Failed to use the signing key {making.signing_key}: at {_manifest.format_time(at)} its signature "
                f"is not accepted, {exc}. Correct {making.allowed_signers}, the key, or this host's clock.",
                reason="signature_not_accepted",
            ) from exc
    return signature


def allowance(making: Making) -> Allowance:
    return Allowance(making.local_path, quota_bytes=making.quota_bytes, reserve_bytes=making.reserve_bytes)


def expected_size(previous: _catalog.Entry | None) -> int:
    """Bytes to expect of an artifact like *previous*."""
    return int(previous.manifest.size * _GROWTH) if previous else 0


def common_fields(
    making: Making, around: Surroundings, *, name: str, created_at: dt.datetime, epoch: str
) -> dict[str, t.Any]:
    """The manifest's fields that every kind has, but for sizes, hashes and tools."""
    newest = around.newest(around.kind)
    return {
        "schema": _manifest.SCHEMA_VERSION,
        "artifact": name,
        "branch": making.branch,
        "kind": around.kind,
        "sequence": _sequence.next_number(around.catalogue, last=around.last, branch=making.branch, kind=around.kind),
        "set": _sequence.set_number(
            around.catalogue,
            making.state_path,
            branch=making.branch,
            run_id=making.run_id,
            allowed_signers=making.allowed_signers,
        ),
        "epoch": epoch,
        "created_at": _manifest.format_time(created_at),
        "run_id": making.run_id,
        "compression": making.compression,
        "encryption": {"recipients": list(making.recipients)} if making.encrypt else None,
        "base": None,
        "previous": newest.name if newest else None,
    }


def tool_versions(making: Making) -> dict[str, str]:
    """The versions of the compressor and of age, in the tools' own words."""
    compressor = _compress.compressor(making.compression)
    return {
        "compressor": f"{compressor.name} {_version(compressor.argv[0])}",
        **({"age": _version(_process.find_tool("age"))} if making.encrypt else {}),
    }


def _version(path: str) -> str:
    lines = _process.run([path, "--version"]).stdout.decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else "unknown"


def after_publishing(making: Making, manifest: _manifest.Manifest) -> list[str]:
    """What helps people and later runs; the artifact is complete without it, so a failure here is only a warning."""
    try:
        _sequence.remember(making.state_path, branch=making.branch, kind=manifest.kind, number=manifest.sequence)
        _catalog.write_checksums(_catalog.read_catalogue(making.local_path))
    except BackupError as exc:
        return [str(exc)]
    return []


__all__ = (
    "Making",
    "Signing",
    "Surroundings",
    "after_publishing",
    "allowance",
    "check_request",
    "check_signing",
    "common_fields",
    "expected_size",
    "recipient_warnings",
    "sign",
    "tool_versions",
)
