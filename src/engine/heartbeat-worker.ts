import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import pg from 'pg';
import { pinSession } from '../pin-session.ts';
import {
  type BeatMessage,
  type HeartbeatRequest,
  type OwnClaim,
  SEEN,
  type ThreadOrder,
} from './heartbeat-shared.ts';
import { BEAT_MS, BEAT_TIMEOUT_MS, STUCK_MS } from './lease.ts';

/** The thread that startHeartbeat starts: sends beats on its own connection as long as the main thread runs. */
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
      // If the connection was cut while idle, the next beat immediately opens another one and need not fail first.
      opened.once('end', () => {
        if (client === opened) client = undefined;
      });
    }
    const { rows } = await client.query<OwnClaim>(
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
        // Whatever failed, a new connection is the remedy. The main thread reports its own errors with the database.
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
  // A lost connection makes the next beat fail.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await pinSession(client);
    return client;
  } catch (error) {
    void client.end().catch(() => undefined);
    throw error;
  }
}

void main();
