<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace Database\Seeders;

use App\Models\Branch;
use App\Models\Product;
use App\Models\User;
use Illuminate\Database\Seeder;
use Illuminate\Support\Facades\Crypt;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Hash;
use Illuminate\Support\Facades\Storage;
use Illuminate\Support\Str;
use RuntimeException;

class DatabaseSeeder extends Seeder
{
    private const PRODUCTS = [
        ['Pan de jamón', 480], ['Arepa 🫓', 120], ['Queso de mano', 655], ['Crème fraîche', 310], ['Café molido ☕', 899],
        ['Papelón con limón', 175], ['Plátano', 60], ['Aguacate 🥑', 95], ['Jabón azul', 140], ["Bolsa 20'", 15],
    ];

    private const SIZES = ['small' => 1, 'medium' => 2, "family's size" => 5];

    /** Makes what is missing and changes nothing that is there. */
    public function run(): void
    {
        $made = DB::transaction(fn (): int => $this->branch() + $this->cashier() + $this->products());
        $this->command->line($made === 0 ? 'Nothing to seed.' : "Seeded: {$made} rows.");
    }

    private function branch(): int
    {
        $code = config('pos.branch.code');
        if (Branch::find($code)) {
            return 0;
        }
        Branch::create([
            'code' => $code,
            'name' => config('pos.branch.name'),
            'tax_secret' => Crypt::encryptString('tax '.Str::random(24)),
        ]);

        return 1;
    }

    private function cashier(): int
    {
        if (User::exists()) {
            return 0;
        }
        // From the environment, for once: a password in clear belongs neither into a file nor into the cached configuration.
        $email = getenv('POS_CASHIER_EMAIL');
        $password = getenv('POS_CASHIER_PASSWORD');
        if (! $email || ! $password) {
            throw new RuntimeException('Failed to seed: POS_CASHIER_EMAIL and POS_CASHIER_PASSWORD name the first cashier. Set both.');
        }
        User::create(['name' => 'María José', 'email' => $email, 'password' => Hash::make($password)]);

        return 1;
    }

    private function products(): int
    {
        $made = 0;
        foreach (self::PRODUCTS as $number => [$name, $cents]) {
            $sku = sprintf('LAB-%03d', $number + 1);
            if (Product::where('sku', $sku)->exists()) {
                continue;
            }
            $picture = Picture::png($sku);
            $path = 'products/'.Str::lower($sku).'.png';
            Storage::disk('public')->put($path, $picture);
            $product = Product::create([
                'sku' => $sku,
                'name' => $name,
                'tax_rate' => '0.1600',
                'picture_path' => $path,
                'picture_sha256' => hash('sha256', $picture),
            ]);
            foreach (array_keys(self::SIZES) as $place => $size) {
                $product->variants()->create([
                    'name' => $size,
                    'barcode' => sprintf('759%06d%04d', $number + 1, $place + 1),
                    'price' => sprintf('%.2f', $cents * self::SIZES[$size] / 100),
                    'stock' => 100000,
                ]);
            }
            $made += 1 + count(self::SIZES);
        }

        return $made;
    }
}
