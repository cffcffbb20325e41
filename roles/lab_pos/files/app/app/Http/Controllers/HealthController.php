<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Http\Controllers;

use Illuminate\Http\JsonResponse;
use Illuminate\Support\Facades\DB;
use Throwable;

class HealthController
{
    public function __invoke(): JsonResponse
    {
        $checks = ['database' => $this->database(), 'storage' => is_writable(storage_path('app/public'))];
        $healthy = ! in_array(false, $checks, true);

        return response()->json([
            'status' => $healthy ? 'ok' : 'failed',
            'checks' => array_map(static fn (bool $passed): string => $passed ? 'ok' : 'failed', $checks),
        ], $healthy ? 200 : 503);
    }

    private function database(): bool
    {
        try {
            return DB::selectOne('SELECT 1 AS alive')->alive === 1;
        } catch (Throwable $exception) {
            report($exception);

            return false;
        }
    }
}
