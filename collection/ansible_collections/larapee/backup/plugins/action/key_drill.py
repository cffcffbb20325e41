# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.larapee.backup.plugins.plugin_utils._identity_action import IdentityAction


class ActionModule(IdentityAction):
    """Hands the restorer's identity over in memory."""
