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
        Schema::create('products', function (Blueprint $table): void {
            $table->id();
            $table->string('sku', 32)->unique();
            $table->string('name', 160);
            $table->decimal('tax_rate', 5, 4);
            $table->string('picture_path')->nullable()->collation('utf8mb4_bin');
            $table->char('picture_sha256', 64)->nullable();
            $table->timestamps();
        });
        Schema::create('product_variants', function (Blueprint $table): void {
            $table->id();
            $table->foreignId('product_id')->constrained();
            $table->string('name', 80);
            $table->char('barcode', 13)->unique();
            $table->decimal('price', 12, 2);
            $table->decimal('stock', 14, 3)->default(0);
            $table->timestamps();
        });
    }

    public function down(): void
    {
        Schema::drop('product_variants');
        Schema::drop('products');
    }
};
