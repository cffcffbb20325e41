# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ssl

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _tls


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, False),
        ({"ssl": "1"}, True),
        ({"ssl": "0"}, False),
        ({"ssl_verify_server_cert": "off"}, False),
        ({"ssl_verify_server_cert": "1"}, True),
        ({"ssl_mode": "required"}, True),
        ({"ssl_mode": "PREFERRED"}, False),
        ({"ssl_mode": "DISABLED", "ssl_ca": "/ca.pem"}, False),
        ({"skip_ssl": "1", "ssl_ca": "/ca.pem"}, False),
        ({"ssl_ca": "/ca.pem"}, True),
    ],
)
def test_tls_is_wanted_as_the_clients_understand_it(options: dict[str, str], wanted: bool) -> None:
    assert _tls.wants_tls(options) is wanted


@pytest.mark.parametrize(
    ("options", "hostname", "mode"),
    [
        ({"ssl": "1"}, False, ssl.CERT_NONE),
        ({"ssl_mode": "REQUIRED"}, False, ssl.CERT_NONE),
        ({"ssl_mode": "VERIFY_CA"}, False, ssl.CERT_REQUIRED),
        ({"ssl_mode": "VERIFY_IDENTITY"}, True, ssl.CERT_REQUIRED),
        ({"ssl_verify_server_cert": "1"}, True, ssl.CERT_REQUIRED),
    ],
)
def test_what_is_verified(options: dict[str, str], hostname: bool, mode: ssl.VerifyMode) -> None:
    context = _tls.tls_context(options)
    assert (context.check_hostname, context.verify_mode) == (hostname, mode)


def test_a_missing_authority_is_named() -> None:
    with pytest.raises(BackupError, match="ssl-ca"):
        _tls.tls_context({"ssl_ca": "/nonexistent.pem"})
