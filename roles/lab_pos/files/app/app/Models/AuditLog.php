<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Models;

use Illuminate\Database\Eloquent\Model;

class AuditLog extends Model
{
    public $timestamps = false;

    protected $guarded = [];

    protected $casts = ['payload' => 'array'];

    public static function write(string $action, array $payload, ?User $actor = null): void
    {
        self::create(['actor' => optional($actor)->name, 'action' => $action, 'payload' => $payload]);
    }
}
