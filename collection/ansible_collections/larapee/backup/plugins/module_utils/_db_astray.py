# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why an increment of the database is in no chain, in words. Pure.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from ._db_stream import Piece, Stream, file_name, key_of
from ._manifest import Manifest


def reasons(
    stream: Stream,
    *,
    chained: t.Container[str],
    fulls: t.Mapping[str, tuple[Manifest, str | None]],
    broken: t.Mapping[str, str | None],
) -> dict[str, str]:
    """By name, why each increment of *stream* that is not in *chained* is in no chain.

    *fulls*: those of its epoch, and why one cannot be used. *broken*: by full, why its chain ended.
    """
    found = dict(stream.flaws)
    whole = {name: why for name, (_full, why) in fulls.items()}
    if not any(why is None for why in whole.values()):
        for piece in stream.pieces:
            found.setdefault(piece.name, _without_full(piece, whole))
        return found
    keys = [key for full, why in fulls.values() for key in (key_of(full),) if why is None and key is not None]
    for piece in stream.pieces:
        if piece.name in chained or piece.name in found:
            continue
        found[piece.name] = (
            _held_elsewhere(stream, piece, chained)
            or _after_what_is_there(stream, piece, chained)
            or _alone(stream, piece, keys, fulls, broken)
        )
    return found


def begins(stream: Stream, piece: Piece) -> str:
    """Where *piece* begins, behind a gap, and what should have come before it."""
    previous = str(piece.manifest.document["previous"])
    missing = "" if stream.is_known(previous) else f": {previous} is missing"
    return f"the next {piece.name} begins at {file_name(piece.begin)}{missing}"


def which(flaw: str) -> str:
    """A flaw, as an aside in a sentence about something else."""
    return f"which comes next, {flaw.replace('it is', 'is', 1)}"


def _without_full(piece: Piece, whole: t.Mapping[str, str | None]) -> str:
    base = str(piece.manifest.document["base"])
    if whole.get(base):
        return f"its full {base} is unusable: {whole[base]}"
    return f"its full {base} is missing, and there is no other full of its epoch"


def _held_elsewhere(stream: Stream, piece: Piece, chained: t.Container[str]) -> str | None:
    """What has all of its files too, or one of them with another content."""
    others = []
    for key in piece.keys:
        holders = [each for each in stream.holding[key] if each.name in chained]
        for each in holders:
            if each.hash_of(key) != piece.hash_of(key):
                return (
                    f"two artifacts hold {file_name(key)} with different contents, the chain goes on with {each.name} "
                    "(the branch was rolled back)"
                )
        others.append(holders[0] if holders else None)
    if all(others):
        return f"what it holds is in {' and '.join(dict.fromkeys(each.name for each in others if each))} already"
    held = next((each for each in others if each), None)
    return f"an overlap: {held.name} holds {file_name(held.end)} too, and not all of its files" if held else None


def _after_what_is_there(stream: Stream, piece: Piece, chained: t.Container[str]) -> str | None:
    before = stream.ending.get((piece.stem, piece.first - 1), [])
    for each in sorted(before, key=lambda one: (one.name in stream.flaws, one.name)):
        if each.name in stream.flaws:
            return f"the chain is broken before it: {each.name} {stream.flaws[each.name].replace('it is', 'is', 1)}"
        why = stream.why_not_after(each, piece)
        if why is not None:
            return why
        if each.name not in chained:
            return f"the chain is broken before it, at {each.name}"
    return None


def _alone(
    stream: Stream,
    piece: Piece,
    keys: t.Sequence[tuple[str, int]],
    fulls: t.Mapping[str, tuple[Manifest, str | None]],
    broken: t.Mapping[str, str | None],
) -> str:
    for name, (full, _why) in fulls.items():
        key = key_of(full)
        if key is not None and piece.begin <= key <= piece.end and broken.get(name):
            return str(broken[name])
    if not any(key <= piece.end for key in keys if key[0] == piece.stem):
        return "there is no full before it"
    below = stream.last_below(piece.begin)
    if below is not None:
        return f"a gap: {below.name} ends at {file_name(below.end)}, {begins(stream, piece)}"
    previous = str(piece.manifest.document["previous"])
    missing = "" if stream.is_known(previous) else f": {previous} is missing"
    return f"a gap: it begins at {file_name(piece.begin)}, no full stands there and nothing comes before it{missing}"


__all__ = ("begins", "reasons", "which")
