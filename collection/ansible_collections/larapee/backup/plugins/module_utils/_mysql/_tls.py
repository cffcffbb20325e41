# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS for PyMySQL by the options that the command-line clients read, so that both speak to the server alike.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import ssl
import typing as t

from .._errors import BackupError

_MODES_WITH_TLS = ("REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
_OFF = ("0", "off", "false", "no")


def is_on(options: t.Mapping[str, str], flag: str) -> bool:
    return flag in options and options[flag].lower() not in _OFF


def wants_tls(options: t.Mapping[str, str]) -> bool:
    """True when the option file asks for TLS; it is then required, never only tried."""
    if options.get("ssl_mode", "").upper() == "DISABLED" or is_on(options, "skip_ssl"):
        return False
    asked = any(key in options for key in ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key"))
    mode = options.get("ssl_mode", "").upper() in _MODES_WITH_TLS
    return asked or mode or is_on(options, "ssl") or is_on(options, "ssl_verify_server_cert")


def tls_context(options: t.Mapping[str, str]) -> ssl.SSLContext:
    """The context for *options*; raises BackupError when a named file cannot be used."""
    mode = options.get("ssl_mode", "").upper()
    identity = mode == "VERIFY_IDENTITY" or is_on(options, "ssl_verify_server_cert")
    file, directory = options.get("ssl_ca"), options.get("ssl_capath")
    try:
        context = ssl.create_default_context(cafile=file, capath=directory)
        context.check_hostname = identity
        if not (identity or mode == "VERIFY_CA" or file or directory):
            context.verify_mode = ssl.CERT_NONE
        if "ssl_cert" in options:
            context.load_cert_chain(options["ssl_cert"], options.get("ssl_key"))
    except OSError as exc:
        raise BackupError(
            f"Failed to use the TLS files of the option file: {exc}. Check ssl-ca, ssl-cert and ssl-key.",
            reason="bad_option_file",
        ) from exc
    return context


__all__ = ("is_on", "tls_context", "wants_tls")
