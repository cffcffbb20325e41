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
        Schema::create('document_sequences', function (Blueprint $table): void {
            $table->id();
            $table->char('branch_code', 3);
            $table->string('document', 20);
            $table->date('day');
            $table->unsignedInteger('last_number');
            $table->unique(['branch_code', 'document', 'day']);
            $table->foreign('branch_code')->references('code')->on('branches');
        });
        Schema::create('orders', function (Blueprint $table): void {
            $table->id();
            $table->char('branch_code', 3);
            $table->unsignedSmallInteger('till');
            $table->foreignId('user_id')->constrained();
            $table->string('invoice_number', 40)->unique();
            $table->string('idempotency_key', 64)->collation('utf8mb4_bin')->unique();
            $table->boolean('is_test')->default(false);
            $table->decimal('subtotal', 14, 2);
            $table->decimal('tax', 14, 2);
            $table->decimal('total', 14, 2);
            $table->date('business_day');
            $table->dateTime('ordered_at', 6);
            $table->dateTime('receipt_at', 6)->nullable();
            $table->index(['business_day', 'till']);
            $table->foreign('branch_code')->references('code')->on('branches');
        });
        Schema::create('order_items', function (Blueprint $table): void {
            $table->id();
            $table->foreignId('order_id')->constrained()->cascadeOnDelete();
            $table->foreignId('variant_id')->constrained('product_variants');
            $table->decimal('quantity', 10, 3);
            $table->decimal('unit_price', 12, 2);
            $table->decimal('line_total', 14, 2);
        });
        Schema::create('payments', function (Blueprint $table): void {
            $table->id();
            $table->foreignId('order_id')->constrained()->cascadeOnDelete();
            $table->enum('method', ['cash', 'card', 'transfer', 'mobile']);
            $table->decimal('amount', 14, 2);
            $table->dateTime('paid_at', 6);
        });
        Schema::create('stock_movements', function (Blueprint $table): void {
            $table->id();
            $table->foreignId('variant_id')->constrained('product_variants');
            $table->foreignId('order_id')->nullable()->constrained()->cascadeOnDelete();
            $table->enum('kind', ['sale', 'delivery', 'return', 'count']);
            $table->decimal('quantity', 14, 3);
            $table->dateTime('occurred_at', 6);
        });
        Schema::create('payment_slips', function (Blueprint $table): void {
            $table->id();
            $table->foreignId('order_id')->constrained()->cascadeOnDelete();
            $table->string('path')->collation('utf8mb4_bin')->unique();
            $table->string('media_type', 40);
            $table->unsignedInteger('size');
            $table->char('sha256', 64);
            $table->dateTime('uploaded_at', 6);
        });
        Schema::create('financial_adjustments', function (Blueprint $table): void {
            $table->id();
            $table->foreignId('order_id')->nullable()->constrained();
            $table->string('reason', 160);
            $table->decimal('amount', 14, 2);
            $table->string('approved_by', 80)->nullable();
            $table->dateTime('created_at', 6);
        });
    }

    public function down(): void
    {
        $tables = ['financial_adjustments', 'payment_slips', 'stock_movements', 'payments', 'order_items', 'orders', 'document_sequences'];
        foreach ($tables as $table) {
            Schema::drop($table);
        }
    }
};
