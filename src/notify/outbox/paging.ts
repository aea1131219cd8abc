/** Maximum number of changes in a message, whatever their size. */
export const PAGE_CHANGES = 100;

/** Maximum bytes of a message's body. Brokers refuse large messages (Pulsar's limit is 5 MB, that of others 256 KB). */
export const BODY_BYTES = 256 * 1024;

/** Maximum bytes of the envelope and of the fields beside the changes. */
const ENVELOPE_BYTES = 4096;

/** Splits items, in order, into pages that fit into a message. An item that is too large gets a page of its own. */
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
