import { createPool } from '../../../src/database/pool.ts';
import { openTransport, relayOutbox, type Transport } from '../../../src/notify/index.ts';

/** A relay that stops between sending a batch and marking it: there the test kills it. */
const { database, url, topic } = JSON.parse(process.env['CHILD'] ?? '') as Record<
  'database' | 'url' | 'topic',
  string
>;
const transport = await openTransport({ url, topic });
const stopping: Transport = {
  ...transport,
  async deliver(...batch) {
    const { delivered } = await transport.deliver(...batch);
    process.stdout.write(`sent ${delivered}\n`);
    return new Promise(() => undefined);
  },
};
await relayOutbox(createPool(database), stopping);
