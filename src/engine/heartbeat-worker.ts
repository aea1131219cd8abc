import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import pg from 'pg';
import {
  type BeatMessage,
  type HeartbeatRequest,
  type HeldClaim,
  SEEN,
  type ThreadOrder,
} from './heartbeat-shared.ts';
import { BEAT_MS, BEAT_TIMEOUT_MS, STUCK_MS } from './lease.ts';

/** Entry of the thread that startHeartbeat starts: beats on a connection of its own, as long as the main thread lives. */
async function main(): Promise<void> {
  const { connectionString, workerId, shared } = workerData as HeartbeatRequest;
  const seen = new BigInt64Array(shared);
  let { pools } = workerData as HeartbeatRequest;
  let client: pg.Client | undefined;
  let stuck = false;
  const stopping = new AbortController();
  parentPort?.on('message', (order: ThreadOrder) => {
    if (order === 'stop') stopping.abort();
    else pools = order;
  });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
  const post = (message: BeatMessage) => parentPort?.postMessage(message);

  const beat = async () => {
    if (client === undefined) {
      const opened = await connect(connectionString);
      client = opened;
      // Cut while idle: the next beat opens another at once, and costs no second try.
      opened.once('end', () => {
        if (client === opened) client = undefined;
      });
    }
    const { rows } = await client.query<HeldClaim>(
      'select run_id as "runId", run_version::float8 as version, cancel from workflow.heartbeat($1, $2)',
      [workerId, pools],
    );
    Atomics.store(seen, SEEN.beat, BigInt(Date.now()));
    post({ kind: 'beat', claims: rows });
  };

  while (!stopping.signal.aborted) {
    const silentNs = process.hrtime.bigint() - Atomics.load(seen, SEEN.main);
    if (silentNs > BigInt(STUCK_MS) * 1_000_000n) {
      if (!stuck) post({ kind: 'stuck' });
      stuck = true;
    } else {
      stuck = false;
      try {
        await beat();
      } catch {
        // Whatever it was, a new connection is the remedy; the main thread reports what it meets itself.
        void client?.end().catch(() => undefined);
        client = undefined;
      }
    }
    await delay(BEAT_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
  }
  await client?.end().catch(() => undefined);
  parentPort?.close();
}

async function connect(connectionString: string | undefined): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString,
    application_name: 'dict-vsync heartbeat',
    connectionTimeoutMillis: BEAT_TIMEOUT_MS,
    query_timeout: BEAT_TIMEOUT_MS,
    keepAlive: true,
  });
  // A lost connection shows in the beat that meets it.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    void client.end().catch(() => undefined);
    throw error;
  }
}

void main();
