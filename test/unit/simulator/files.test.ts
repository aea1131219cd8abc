import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Fault, SimulatedDict } from '../../../src/simulator/index.ts';
import { CALLER, ISPB, START, drivenDict, keys, problem } from './support.ts';

const about = { participant: ISPB, keyType: 'EVP' };
const iso = (ms: number) => new Date(ms).toISOString();

interface File {
  id: string;
  status: string;
  bytes?: number;
  sha256?: string;
  creationTime?: string;
}

const request = async (dict: SimulatedDict) => (await dict.createCidSetFile(about, CALLER))['file'] as File;
const get = async (dict: SimulatedDict, id: string) =>
  (await dict.getCidSetFile({ participant: ISPB, id }, CALLER))['file'] as File;
const contentOf = async (dict: SimulatedDict, id: string) =>
  (await dict.downloadCidSetFile({ participant: ISPB, id, offset: 0 }, CALLER)).content.toString('latin1');
const sorted = (dict: SimulatedDict) => [...dict.directory.set(ISPB, 'EVP').cids()].toSorted();
const sha256 = (text: string) => createHash('sha256').update(text, 'latin1').digest('hex');

test('a file goes through its statuses and contains the CIDs of its CreationTime', async () => {
  const { dict, pass } = drivenDict();
  const base = keys('EVP', 50);
  dict.directory.seed(base);
  const { id, status } = await request(dict);
  expect(status).toBe('REQUESTED');
  pass(2000);
  expect(await get(dict, id)).toMatchObject({ status: 'PROCESSING', requestTime: iso(START) });
  dict.directory.deleteEntry({ participant: ISPB, key: base[0]!.key });
  pass(7999);
  expect((await get(dict, id)).status).toBe('PROCESSING');
  expect(await problem(() => contentOf(dict, id))).toBe('404 NotFound');
  pass(1);
  const snapshot = sorted(dict);
  dict.directory.deleteEntry({ participant: ISPB, key: base[1]!.key });
  pass(60_000);
  const file = await get(dict, id);
  expect(file).toMatchObject({ status: 'AVAILABLE', creationTime: iso(START + 10_000), bytes: 49 * 65 });
  const content = await contentOf(dict, id);
  expect(content.endsWith('\n')).toBe(true);
  expect(content.trimEnd().split('\n').toSorted()).toEqual(snapshot);
  expect(file.sha256).toBe(sha256(content));
});

test('a file without any CID is legal', async () => {
  const { dict } = drivenDict({ fileGenerationMs: 0 });
  const { id } = await request(dict);
  expect(await get(dict, id)).toMatchObject({ status: 'AVAILABLE', bytes: 0, sha256: sha256('') });
  expect(await contentOf(dict, id)).toBe('');
});

test('speed makes files faster; the same seed gives the same order of lines, another seed another order', async () => {
  const content = async (seed: number) => {
    const { dict, pass } = drivenDict({ speed: 10, seed });
    dict.directory.seed(keys('EVP', 30));
    const { id } = await request(dict);
    pass(999);
    expect((await get(dict, id)).status).toBe('PROCESSING');
    pass(1);
    expect(await get(dict, id)).toMatchObject({ status: 'AVAILABLE', creationTime: iso(START + 1000) });
    return contentOf(dict, id);
  };
  const first = await content(1);
  expect(await content(1)).toBe(first);
  expect(await content(2)).not.toBe(first);
});

async function faulty(...faults: Fault[]) {
  const { dict, pass } = drivenDict();
  dict.directory.seed(keys('EVP', 20));
  for (const fault of faults) dict.faults.on({ times: 1, ...fault });
  const { id } = await request(dict);
  pass(10_000);
  return { dict, pass, id, file: await get(dict, id), good: sorted(dict) };
}

test('a fault can keep files from ever becoming available', async () => {
  const stuck = await faulty({ kind: 'file_stuck' });
  stuck.pass(86_400_000);
  expect((await get(stuck.dict, stuck.id)).status).toBe('REQUESTED');
  const failed = await faulty({ kind: 'file_error' });
  expect(failed.file.status).toBe('ERROR');
  expect(await problem(() => contentOf(failed.dict, failed.id))).toBe('404 NotFound');
  expect((await faulty({ kind: 'file_unavailable' })).file.status).toBe('UNAVAILABLE');
  const slow = await faulty({ kind: 'file_slow', delayMs: 5000 });
  expect(slow.file.status).toBe('PROCESSING');
  slow.pass(5000);
  expect((await get(slow.dict, slow.id)).status).toBe('AVAILABLE');
  const next = await request(slow.dict);
  slow.pass(10_000);
  expect((await get(slow.dict, next.id)).status).toBe('AVAILABLE');
});

test('a fault can make files empty, gone, old, of an unknown status, of any announced size, or of others', async () => {
  const empty = await faulty({ kind: 'file_empty' });
  expect(empty.file).toMatchObject({ status: 'AVAILABLE', bytes: 0, sha256: sha256('') });
  expect(await problem(() => contentOf(empty.dict, empty.id))).toBe('404 NotFound');
  const gone = await faulty({ kind: 'file_gone' });
  expect(gone.file).toMatchObject({ status: 'AVAILABLE', bytes: 20 * 65 });
  expect(await problem(() => contentOf(gone.dict, gone.id))).toBe('404 NotFound');
  const old = await faulty({ kind: 'file_made_before', ageMs: 60_000 });
  expect(old.file).toMatchObject({ requestTime: iso(START), creationTime: iso(START - 60_000) });
  const announced = await faulty({ kind: 'file_announces', bytes: 7 });
  expect(announced.file.bytes).toBe(7);
  expect(await contentOf(announced.dict, announced.id)).toHaveLength(20 * 65);
  const named = await faulty({ kind: 'file_status', status: 'QUEUED' }, { kind: 'file_slow', delayMs: 1 });
  expect(named.file.status).toBe('QUEUED');
  named.pass(1);
  expect((await get(named.dict, named.id)).status).toBe('AVAILABLE');
  const others = await faulty({ kind: 'file_of_others' });
  const lines = (await contentOf(others.dict, others.id)).trimEnd().split('\n');
  expect(lines).toHaveLength(40);
  expect(lines).toEqual(expect.arrayContaining(others.good));
  expect(others.file).toMatchObject({ bytes: 40 * 65 });
});

test('a fault can make files differ from what DICT says of them', async () => {
  const hash = await faulty({ kind: 'file_wrong_sha256' });
  expect(hash.file.sha256).not.toBe(sha256(await contentOf(hash.dict, hash.id)));
  const bytes = await faulty({ kind: 'file_wrong_bytes' });
  expect(bytes.file.bytes).not.toBe((await contentOf(bytes.dict, bytes.id)).length);
  const truncated = await faulty({ kind: 'file_truncated' });
  expect((await contentOf(truncated.dict, truncated.id)).length).toBeLessThan(truncated.file.bytes!);
});

test('a fault can make files with odd lines whose Bytes and Sha256 are right', async () => {
  const lines = async (...faults: Fault[]) => {
    const { dict, id, file, good } = await faulty(...faults);
    const content = await contentOf(dict, id);
    expect(file).toMatchObject({ bytes: content.length, sha256: sha256(content) });
    return { content, good };
  };
  const junk = await lines({ kind: 'file_junk_line' });
  expect(junk.content.split('\n').filter((line) => !/^([0-9a-f]{64})?$/.test(line))).toHaveLength(1);
  const twice = await lines({ kind: 'file_duplicate_line' });
  expect(twice.content.trimEnd().split('\n')).toHaveLength(21);
  expect(new Set(twice.content.trimEnd().split('\n')).size).toBe(20);
  const odd = await lines(
    { kind: 'file_crlf' },
    { kind: 'file_upper_case' },
    { kind: 'file_no_last_newline' },
  );
  expect(odd.content).toMatch(/^([0-9A-F]{64}\r\n){19}[0-9A-F]{64}$/);
  expect(odd.content.toLowerCase().split('\r\n').toSorted()).toEqual(odd.good);
});

test('a fault applies only to its scope, and only as often as its count says', async () => {
  const { dict, pass } = drivenDict();
  const armed = dict.faults.on({ kind: 'file_error', keyType: 'EVP', participant: ISPB, times: 1 });
  const other = (await dict.createCidSetFile({ ...about, keyType: 'CPF' }, CALLER))['file'] as File;
  const first = await request(dict);
  const second = await request(dict);
  pass(10_000);
  expect((await get(dict, other.id)).status).toBe('AVAILABLE');
  expect((await get(dict, first.id)).status).toBe('ERROR');
  expect((await get(dict, second.id)).status).toBe('AVAILABLE');
  expect(armed.struck).toBe(1);
  const cid = 'b'.repeat(64);
  const broken = dict.faults.on({ kind: 'problem', status: 500, cid });
  const look = (wanted: string) =>
    problem(() => dict.getEntryByCid({ participant: ISPB, cid: wanted }, CALLER));
  expect(await look(cid.toUpperCase())).toBe('500 InternalServerError');
  expect(await look('c'.repeat(64))).toBe('404 NotFound');
  broken.off();
  expect(await look(cid)).toBe('404 NotFound');
});
