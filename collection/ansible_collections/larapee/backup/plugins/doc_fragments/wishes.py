# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What people ask of retention."""

    DOCUMENTATION = r"""
options:
  pin:
    description: Numbers of sets that are to stay until they are unpinned. Needs O(reason).
    type: list
    elements: int
    default: []
    version_added: 0.1.0
  unpin:
    description: Numbers of sets that need not stay any longer.
    type: list
    elements: int
    default: []
    version_added: 0.1.0
  acknowledge:
    description:
      - Numbers of sets that may replace older ones although they are of a new epoch or lost much. Needs O(reason).
    type: list
    elements: int
    default: []
    version_added: 0.1.0
  lost:
    description:
      - What is lost for good and no verification shall miss any longer, by kind and number as verification says it,
        such as C(db_full 7). The newest of a kind is missed all the same until a newer one is there. Needs O(reason).
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  hold:
    description: Why nothing of the branch may go until O(release).
    type: str
    default: ""
    version_added: 0.1.0
  release:
    description: End the hold.
    type: bool
    default: false
    version_added: 0.1.0
  reason:
    description: Why, for O(pin), O(acknowledge) and O(lost).
    type: str
    default: ""
    version_added: 0.1.0
"""
