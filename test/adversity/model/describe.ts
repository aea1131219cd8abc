import { computeCid } from '../../../src/dict/entry/cid.ts';
import type { Entry } from '../../../src/dict/entry/entry.ts';

export const hex = (entry: Entry) => computeCid(entry).toString('hex');

/** An entry in one line, without opening dates: they are not part of the CID, and DICT's may differ. */
export function describe(entry: Entry | null | undefined): string {
  if (entry === null || entry === undefined) return 'nothing';
  return `${entry.name}/${entry.accountNumber}/${entry.requestId.slice(0, 8)} (${hex(entry).slice(0, 8)})`;
}
