import { expect, test } from 'vitest';
import { listAssets, readAsset } from '../../src/assets.ts';

test('it reads a file by its path in the repository, and lists a folder so that each file can be read', () => {
  expect(readAsset('proto/bridge.proto')).toContain('service DictBridge');
  expect(listAssets('proto')).toEqual(['proto/bridge.proto']);
  expect(listAssets('proto/')).toEqual(listAssets('proto'));
  expect(() => readAsset('proto/none.proto')).toThrow('ENOENT');
});

test("a folder's README is not an asset", () => {
  expect(listAssets('migrations')).not.toEqual([]);
  expect(listAssets('migrations').filter((path) => !path.endsWith('.sql'))).toEqual([]);
});
