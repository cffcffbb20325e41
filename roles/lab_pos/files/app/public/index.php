<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

$maintenance = dirname(__DIR__).'/storage/framework/maintenance.php';
if (is_file($maintenance)) {
    require $maintenance;
}

require dirname(__DIR__).'/bootstrap/autoload.php';

$app = require dirname(__DIR__).'/bootstrap/app.php';
$kernel = $app->make(Illuminate\Contracts\Http\Kernel::class);
$request = Illuminate\Http\Request::capture();
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
