<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace Database\Seeders;

class Picture
{
    private const WIDTH = 64;

    private const HEIGHT = 64;

    /** A valid picture of grey noise, the same for the same name. */
    public static function png(string $name): string
    {
        $rows = '';
        for ($row = 0; $row < self::HEIGHT; $row++) {
            $rows .= "\0".substr(hash('sha512', "{$name} {$row}", true), 0, self::WIDTH);
        }
        $header = pack('NNCCCCC', self::WIDTH, self::HEIGHT, 8, 0, 0, 0, 0);

        return "\x89PNG\r\n\x1a\n".self::chunk('IHDR', $header).self::chunk('IDAT', gzcompress($rows)).self::chunk('IEND', '');
    }

    private static function chunk(string $kind, string $body): string
    {
        return pack('N', strlen($body)).$kind.$body.pack('N', crc32($kind.$body));
    }
}
