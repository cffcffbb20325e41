<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Models;

use Illuminate\Foundation\Auth\User as Authenticatable;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Str;

class User extends Authenticatable
{
    protected $guarded = [];

    protected $hidden = ['password'];

    public static function ofToken(string $token): ?self
    {
        return self::query()
            ->join('personal_access_tokens', 'personal_access_tokens.user_id', '=', 'users.id')
            ->where('personal_access_tokens.token', hash('sha256', $token))
            ->first('users.*');
    }

    /** The database keeps the token's hash only: a stolen dump logs nobody in. */
    public function issueToken(): string
    {
        $token = Str::random(48);
        DB::table('personal_access_tokens')->insert(['user_id' => $this->id, 'token' => hash('sha256', $token)]);

        return $token;
    }
}
