<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Schema;

return new class extends Migration
{
    public function up(): void
    {
        Schema::create('branches', function (Blueprint $table): void {
            $table->char('code', 3)->primary();
            $table->string('name', 120);
            $table->text('tax_secret');
            $table->timestamps();
        });
        Schema::create('users', function (Blueprint $table): void {
            $table->id();
            $table->string('name', 80);
            $table->string('email', 160)->unique();
            $table->string('password');
            $table->timestamps();
        });
        Schema::create('personal_access_tokens', function (Blueprint $table): void {
            $table->id();
            $table->foreignId('user_id')->constrained()->cascadeOnDelete();
            $table->char('token', 64)->unique();
            $table->timestamp('created_at')->useCurrent();
        });
        Schema::create('audit_logs', function (Blueprint $table): void {
            $table->id();
            $table->string('actor', 80)->nullable();
            $table->string('action', 60);
            $table->json('payload');
            $table->timestamp('created_at', 6)->useCurrent();
        });
    }

    public function down(): void
    {
        foreach (['audit_logs', 'personal_access_tokens', 'users', 'branches'] as $table) {
            Schema::drop($table);
        }
    }
};
