import type { Command } from '../../src/cli/program.ts';
import type { Pool } from 'pg';
import { KEY_TYPES } from '../../src/dict/entry/key-type.ts';
import { openTransport, relayOutbox, type Transport } from '../../src/notify/index.ts';
import { WINDOW } from '../../src/notify/transports/stream-producers.ts';
import { startBroker } from '../../test/support/pulsar/start-pulsar.ts';
import { createNamespace } from '../../test/support/pulsar/namespace.ts';
import { benchmark, type Bench, type Findings } from '../support/benchmark.ts';
import { PARTICIPANT } from '../support/entries.ts';
import { count } from '../support/flags.ts';
import { startDatabase } from '../support/postgres.ts';
import { against } from '../support/rows.ts';
import { seconds } from '../support/statistics.ts';
import { sendBare } from './bare-client.ts';

interface Options {
  messages: number;
  rounds: number;
}

/** `bench outbox`: the relay through Pulsar's WebSocket API, against a client that only sends. */
export function outbox(): Command {
  return benchmark<Options>(
    'outbox',
    'Relays messages from the outbox to a real Pulsar, against a bare client with the same window.',
    (command) =>
      command
        .option('--messages <N>', 'small messages, over five streams (the key types)', count(5), 100_000)
        .option('--rounds <N>', 'rounds of each, alternating', count(1), 1),
    measure,
  );
}

async function measure(options: Options, { directory, resources, say }: Bench): Promise<Findings> {
  const { messages, rounds } = options;
  const broker = await startBroker();
  if (typeof broker === 'string') throw new Error(`No Pulsar: ${broker}.`);
  resources.defer(() => broker.stop());
  const database = await startDatabase(directory, resources);
  const { pool } = database;
  const namespace = await createNamespace(broker);
  resources.defer(() => namespace.remove());
  const each = Math.ceil(messages / KEY_TYPES.length);
  const transport = await openTransport({
    url: broker.webSocketUrl,
    topic: namespace.topic('relay-{keyType}'),
  });
  resources.defer(() => transport.close());

  say('warming up');
  await publish(pool, 1000);
  const { body } = await relay(pool, transport);
  await sendBare(broker.webSocketUrl, namespace.topic('warm-up'), body, 5000, WINDOW);

  const ours: number[] = [];
  const theirs: number[] = [];
  const relayed = async (): Promise<void> => {
    await publish(pool, each);
    let delivered = 0;
    const took = await seconds(async () => {
      ({ delivered } = await relay(pool, transport));
    });
    if (delivered !== each * KEY_TYPES.length) throw new Error(`Only ${delivered} messages were delivered.`);
    ours.push(delivered / took);
  };
  const bare = async (): Promise<void> => {
    const took = await seconds(async () => {
      await Promise.all(
        KEY_TYPES.map((type) =>
          sendBare(broker.webSocketUrl, namespace.topic(`bare-${type}`), body, each, WINDOW),
        ),
      );
    });
    theirs.push((each * KEY_TYPES.length) / took);
  };
  for (let round = 0; round < rounds; round++) {
    say(`round ${round + 1} of ${rounds}`);
    for (const run of round % 2 === 0 ? [relayed, bare] : [bare, relayed]) await run();
  }
  return {
    sizes: { ...options, bytes: body.length },
    database,
    rows: [against({ what: 'messages', unit: '/s', ours, against: 'a bare client', theirs })],
    notes: [
      `Through Pulsar's WebSocket API, de-duplication on, five streams; ${WINDOW} messages unanswered at most a stream, for both.`,
      'The relay reads each message from the outbox and marks it delivered, durably; the bare client sends one text again and again.',
    ],
  };
}

/** Fills the outbox, evenly over the key types. */
async function publish(pool: Pool, each: number): Promise<void> {
  for (const keyType of KEY_TYPES) {
    await pool.query(
      `select dict.publish($1, $2, 'reconciliation.notification',
         jsonb_build_object('runId', gen_random_uuid(), 'event', 'STARTED', 'n', n), null) from generate_series(1, $3) n`,
      [PARTICIPANT, keyType, each],
    );
  }
  await pool.query('vacuum analyze dict.outbox');
}

/** Relays all messages; returns how many, and the body of one. */
async function relay(pool: Pool, transport: Transport): Promise<{ delivered: number; body: string }> {
  let body = '';
  const listening: Transport = {
    ...transport,
    deliver: (batch, tx) => {
      body = batch[0]?.body ?? body;
      return transport.deliver(batch, tx);
    },
  };
  return { delivered: await relayOutbox(pool, listening), body };
}
