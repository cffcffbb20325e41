<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Http\Controllers;

use App\Models\AuditLog;
use App\Models\User;
use Illuminate\Foundation\Validation\ValidatesRequests;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Hash;

class SessionController
{
    use ValidatesRequests;

    public function login(Request $request): JsonResponse
    {
        $given = $this->validate($request, ['email' => 'required|string', 'password' => 'required|string']);
        $user = User::where('email', $given['email'])->first();
        if (! $user || ! Hash::check($given['password'], $user->password)) {
            return response()->json(['message' => 'Wrong e-mail address or password.'], 401);
        }
        AuditLog::write('user.login', ['email' => $user->email], $user);

        return response()->json(['token' => $user->issueToken(), 'token_type' => 'Bearer']);
    }

    public function me(Request $request): JsonResponse
    {
        return response()->json($request->user()->only(['name', 'email']));
    }
}
