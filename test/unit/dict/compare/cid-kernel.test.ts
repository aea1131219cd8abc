import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { KERNEL_BYTES_FILE, kernelBytesSource } from '../../../../build/cid-kernel.ts';

test('the committed bytes of the kernel are those of its text', async () => {
  expect(
    await readFile(KERNEL_BYTES_FILE, 'utf8'),
    'cid-kernel.wat changed: run `npm run build:kernel`',
  ).toBe(await kernelBytesSource());
});
