# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file ``allowed_signers``: which key may sign for a branch, from when and until when.

Lines are only added or limited, never removed: what a key signed while it was valid stays verifiable. Lines that are
not understood, such as a person's own, stay as they are.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import re
import tempfile
import typing as t

from . import _io, _key_pair, _names, _signature
from ._errors import BackupError
from ._signature import NAMESPACE

_LINE = re.compile(r"(?P<branch>[^\s,\"!*?]+) (?P<options>(?:[a-z-]+=\"[^\"]*\",?)+) (?P<key>\S+ \S+)(?: .*)?")
_OPTION = re.compile(r"([a-z-]+)=\"([^\"]*)\"")


@dataclasses.dataclass(frozen=True)
class Signer:
    """A branch's public key, and the times between which its signatures count."""

    branch: str
    key: str
    valid_after: dt.datetime | None = None
    valid_before: dt.datetime | None = None

    def line(self) -> str:
        options = [f'namespaces="{NAMESPACE}"']
        if self.valid_after is not None:
            options.append(f'valid-after="{_stamp(self.valid_after)}"')
        if self.valid_before is not None:
            options.append(f'valid-before="{_stamp(self.valid_before)}"')
        return f"{self.branch} {','.join(options)} {self.key}"


@dataclasses.dataclass(frozen=True)
class Proof:
    """What the key of a signer signed, and when it has to count."""

    message: str
    signature: str
    at: dt.datetime


def merge(text: str, signers: t.Sequence[Signer]) -> str:
    """Return *text* with a line for each of *signers*.

    A key that is there keeps the time from which it counts, since artifacts may rest on it; a time until which it
    counts is only ever set, or made earlier.
    """
    lines = text.splitlines()
    for signer in signers:
        wanted = _checked(signer)
        for number, line in enumerate(lines):
            there = _parse(line)
            if there is None or (there.branch, there.key) != (wanted.branch, wanted.key):
                continue
            ends = [each for each in (there.valid_before, wanted.valid_before) if each is not None]
            kept = dataclasses.replace(there, valid_before=min(ends) if ends else None)
            if kept != there:
                lines[number] = kept.line()
            break
        else:
            lines.append(wanted.line())
    return "".join(f"{line}\n" for line in lines)


def update(
    path: str, signers: t.Sequence[Signer], proofs: t.Sequence[Proof | None] = (), *, check_mode: bool
) -> tuple[str, str]:
    """Bring the file up to date; return its text before and after. Mode and owner stay what they are.

    *proofs* has one for each of *signers*, or none; one that is not good by the new text fails, and nothing is written.
    """
    try:
        before = _io.read_small(path).decode("utf-8")
        status = os.stat(path)
    except FileNotFoundError:
        before, status = "", None
    except (OSError, ValueError) as exc:
        raise BackupError(f"Failed to read {path}: {exc}.", reason="unreadable") from exc
    after = merge(before, signers)
    for signer, proof in zip(signers, proofs):
        if proof is not None:
            _require_good(after, signer, proof)
    if after != before and not check_mode:
        _io.write_file(path, after.encode())
        if status is not None:
            os.chown(path, status.st_uid, status.st_gid)
            os.chmod(path, status.st_mode & 0o777)
    return before, after


def parse_time(text: str) -> dt.datetime:
    """Return a time written as 2026-11-22T14:32:10Z, whole seconds; raise BackupError for anything else."""
    try:
        return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.timezone.utc)
    except ValueError as exc:
        raise BackupError(
            f"Failed to read the time {text!r}: it is not written as 2026-11-22T14:32:10Z. Write it in UTC.",
            reason="bad_request",
        ) from exc


def format_time(time: dt.datetime) -> str:
    """As ``parse_time`` reads it; what is less than a second is cut off."""
    return time.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _require_good(text: str, signer: Signer, proof: Proof) -> None:
    with tempfile.NamedTemporaryFile(prefix="larapee-backup-signers-") as handle:
        handle.write(text.encode())
        handle.flush()
        try:
            _signature.verify(
                proof.message.encode(),
                proof.signature.encode(),
                principal=signer.branch,
                allowed_signers=handle.name,
                at=proof.at,
            )
        except _signature.SignatureError as exc:
            raise BackupError(
                f"Failed to prove the signing key of {signer.branch}: {exc}. The old key stays in use; see which lines "
                "allowed_signers has for the branch, and run the rotation again.",
                reason="key_not_proved",
            ) from exc


def _checked(signer: Signer) -> Signer:
    if not _names.is_branch_code(signer.branch):
        raise BackupError(
            f"Failed to let {signer.branch!r} sign: it is no branch code. Correct larapee_backup_branch of that host.",
            reason="bad_request",
        )
    return dataclasses.replace(signer, key=_key_pair.normal(signer.key))


def _parse(line: str) -> Signer | None:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        return None
    options = dict(_OPTION.findall(match["options"]))
    if options.pop("namespaces", None) != NAMESPACE or set(options) - {"valid-after", "valid-before"}:
        return None
    try:
        times = {name: _time(text) for name, text in options.items()}
    except ValueError:
        return None
    return Signer(match["branch"], match["key"], times.get("valid-after"), times.get("valid-before"))


def _time(stamp: str) -> dt.datetime:
    if not stamp.endswith("Z"):
        # In local time, as ssh-keygen reads it: a person's own line.
        raise ValueError("not in UTC")
    form = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(len(stamp) - 1, "")
    return dt.datetime.strptime(stamp[:-1], form).replace(tzinfo=dt.timezone.utc)


def _stamp(time: dt.datetime) -> str:
    return time.astimezone(dt.timezone.utc).strftime("%Y%m%d%H%M%SZ")


__all__ = ("Proof", "Signer", "format_time", "merge", "parse_time", "update")
