import { createPool } from '../../../src/database/pool.ts';
import { openWay, relayOutbox, type Way } from '../../../src/notify/index.ts';

/** A relay that stops between sending a batch and marking it: there the test kills it. */
const { database, url, topic } = JSON.parse(process.env['CHILD'] ?? '') as Record<
  'database' | 'url' | 'topic',
  string
>;
const way = await openWay({ url, topic });
const stopping: Way = {
  ...way,
  async deliver(...batch) {
    const { delivered } = await way.deliver(...batch);
    process.stdout.write(`sent ${delivered}\n`);
    return new Promise(() => undefined);
  },
};
await relayOutbox(createPool(database), stopping);
