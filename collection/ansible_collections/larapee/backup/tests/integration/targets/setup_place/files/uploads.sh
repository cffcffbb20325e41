#!/usr/bin/env bash
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes a shop's uploads with what is hard to keep, or changes them like a day does.
#   uploads.sh make|change DIRECTORY
set -euo pipefail
umask 022

mkdir -p "${2:?}"
cd "$2"
case $1 in
  make)
    mkdir -p receipts/2025 receipts/2026 products empty
    echo 'tea 2.50' >receipts/2025/B01-0001.txt
    echo 'tea 2.60' >receipts/2026/B01-0002.txt
    echo old >products/old.jpg
    # No UTF-8, and a line break.
    echo café >$'products/caf\xc3\xa9 \xff\n"1".jpg'
    echo large >products/large.jpg
    ln products/large.jpg products/same.jpg
    ln -s ../products/large.jpg receipts/logo.jpg
    truncate --size=1M products/sparse.bin
    echo end >>products/sparse.bin
    chmod 0640 receipts/2026/B01-0002.txt
    chmod 2770 receipts/2026
    touch --date='2026-01-02 03:04:05.123456789 UTC' products/large.jpg
    touch --no-dereference --date='2026-01-03 03:04:05.5 UTC' receipts/logo.jpg empty
    ;;
  change)
    echo 'tea 2.70' >receipts/2026/B01-0003.txt
    echo 'cake 3.10' >>receipts/2026/B01-0002.txt
    rm -r receipts/2025 products/same.jpg
    mv products/old.jpg products/renamed.jpg
    chmod 0600 products/large.jpg
    # A directory where a file was.
    rm products/sparse.bin
    mkdir products/sparse.bin
    ;;
  *)
    exit 2
    ;;
esac
