/** Most changes in a message, whatever their size. */
export const PAGE_CHANGES = 100;

/** Most bytes of a message's body: brokers refuse large ones (Pulsar's limit is 5 MB, others' 256 KB). */
export const BODY_BYTES = 256 * 1024;

/** What the envelope and the fields beside the changes take at the most. */
const ENVELOPE_BYTES = 4096;

/** Splits items, in their order, into pages that fit a message by count and by bytes of JSON; one too large is alone. */
export function toPages<T>(items: readonly T[]): T[][] {
  const pages: T[][] = [];
  let page: T[] = [];
  let left = 0;
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item)) + 1;
    if (page.length === 0 || page.length >= PAGE_CHANGES || size > left) {
      page = [];
      pages.push(page);
      left = BODY_BYTES - ENVELOPE_BYTES;
    }
    page.push(item);
    left -= size;
  }
  return pages;
}
