import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import wabt from 'wabt';

/**
 * `npm run build:kernel`: assembles src/dict/compare/cid-kernel.wat into the committed cid-kernel.bytes.ts beside it.
 * A test compares the two.
 */

const folder = join(import.meta.dirname, '..', 'src', 'dict', 'compare');
/** The generated file. */
export const KERNEL_BYTES_FILE = join(folder, 'cid-kernel.bytes.ts');

/** The content that this file must have, assembled from the text. */
export async function kernelBytesSource(): Promise<string> {
  const { parseWat } = await wabt();
  const text = await readFile(join(folder, 'cid-kernel.wat'), 'utf8');
  const module = parseWat('cid-kernel.wat', text, { simd: true, threads: true, multi_value: true });
  try {
    const base64 = Buffer.from(module.toBinary({}).buffer).toString('base64');
    const lines = base64.match(/.{1,100}/g)?.map((line) => `  '${line}'`) ?? [];
    return [
      '// Generated from cid-kernel.wat by `npm run build:kernel`. In TypeScript, so that bundles and threads contain it.',
      '/** The WebAssembly module, base64. */',
      'export const CID_KERNEL_BASE64 =',
      `${lines.join(' +\n')};`,
      '',
    ].join('\n');
  } finally {
    module.destroy();
  }
}

if (import.meta.main) await writeFile(KERNEL_BYTES_FILE, await kernelBytesSource());
