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
        Schema::create('shift_closings', function (Blueprint $table): void {
            $table->id();
            $table->char('branch_code', 3);
            $table->date('business_day');
            $table->unsignedSmallInteger('till');
            $table->decimal('expected', 14, 2);
            $table->decimal('counted', 14, 2);
            $table->dateTime('closed_at', 6);
            $table->unique(['branch_code', 'business_day', 'till']);
            $table->foreign('branch_code')->references('code')->on('branches');
        });
        Schema::create('daily_branch_closings', function (Blueprint $table): void {
            $table->id();
            $table->char('branch_code', 3);
            $table->date('business_day');
            $table->unsignedInteger('orders');
            $table->decimal('gross', 16, 2);
            $table->decimal('tax', 16, 2);
            $table->string('last_invoice', 40)->nullable();
            $table->dateTime('closed_at', 6);
            $table->unique(['branch_code', 'business_day']);
            $table->foreign('branch_code')->references('code')->on('branches');
        });
    }

    public function down(): void
    {
        Schema::drop('daily_branch_closings');
        Schema::drop('shift_closings');
    }
};
