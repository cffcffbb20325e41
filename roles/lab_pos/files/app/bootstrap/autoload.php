<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

// Debian's PHP announces deprecations that Debian's Laravel of the same release still causes.
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);

// Debian has the framework on PHP's include path; composer is neither needed nor there.
require_once 'Illuminate/autoload.php';

spl_autoload_register(static function (string $class): void {
    foreach (['App\\' => 'app/', 'Database\\Seeders\\' => 'database/seeders/'] as $prefix => $directory) {
        if (str_starts_with($class, $prefix)) {
            $path = dirname(__DIR__).'/'.$directory.strtr(substr($class, strlen($prefix)), '\\', '/').'.php';
            if (is_file($path)) {
                require $path;
            }
        }
    }
});
