import type { Pool, PoolClient } from 'pg';
import type { Bridge } from '../../../src/bridge/index.ts';

/**
 * Kept, so that what waits for them is not garbage-collected: a file that a crash left open must not be closed by us.
 */
const held: Promise<never>[] = [];

function forever(): Promise<never> {
  const never = new Promise<never>(() => undefined);
  held.push(never);
  return never;
}

/** What happens around a call to the Bridge, while nothing else happens. */
export type Around = () => Promise<void>;

/**
 * One life of a worker: its access to the database and the Bridge. One thing happens at a time, in the order of the
 * requests, so that a seed always repeats the same sequence. When its countdown reaches zero the life ends as by
 * SIGKILL: its connections are cut, and nothing that it began ever continues.
 */
export class Incarnation {
  readonly pool: Pool;
  readonly bridge: Bridge;
  readonly #ended = Promise.withResolvers<'crashed'>();
  readonly #clients = new Set<PoolClient>();
  #queue: Promise<unknown> = Promise.resolve();
  #dead = false;
  #fuse = Infinity;

  constructor(pool: Pool, bridge: Bridge, around: Around) {
    this.pool = this.#mortalPool(pool);
    this.bridge = this.#mortalBridge(bridge, around);
  }

  /** Resolves when it has crashed. */
  get crashed(): Promise<'crashed'> {
    return this.#ended.promise;
  }

  /** Lets it crash before or after one of the next `things` it does. */
  light(things: number): void {
    this.#fuse = things;
  }

  async #tick(): Promise<void> {
    if (!this.#dead && --this.#fuse <= 0) {
      this.#dead = true;
      for (const client of this.#clients) client.release(true);
      this.#clients.clear();
      this.#ended.resolve('crashed');
    }
    if (this.#dead) await forever();
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(async () => {
      await this.#tick();
      try {
        return await work();
      } finally {
        await this.#tick();
      }
    });
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  #mortalPool(pool: Pool): Pool {
    const connect = async () =>
      this.#alone(async () => {
        const client = await pool.connect();
        this.#clients.add(client);
        return this.#mortalClient(client);
      });
    const query = async (...args: Parameters<Pool['query']>) => this.#alone(async () => pool.query(...args));
    return { connect, query } as unknown as Pool;
  }

  #mortalClient(client: PoolClient): PoolClient {
    const query = async (...args: Parameters<PoolClient['query']>) =>
      this.#alone(async () => client.query(...args));
    const release = (broken?: Error | boolean) => {
      if (this.#clients.delete(client)) client.release(broken);
    };
    return { query, release } as unknown as PoolClient;
  }

  #mortalBridge(bridge: Bridge, around: Around): Bridge {
    const call = async <T>(work: () => Promise<T>): Promise<T> =>
      this.#alone(async () => {
        await around();
        try {
          return await work();
        } finally {
          await around();
        }
      });
    const download = (
      request: Parameters<Bridge['downloadCidSetFile']>[0],
      options: Parameters<Bridge['downloadCidSetFile']>[1],
    ) => bridge.downloadCidSetFile(request, options);
    return {
      createSyncVerification: async (request, options) =>
        call(async () => bridge.createSyncVerification(request, options)),
      createCidSetFile: async (request, options) =>
        call(async () => bridge.createCidSetFile(request, options)),
      getCidSetFile: async (request, options) => call(async () => bridge.getCidSetFile(request, options)),
      downloadCidSetFile: (request, options) => {
        const alone = call;
        return (async function* () {
          const chunks = await alone(async () => {
            const all: Uint8Array[] = [];
            for await (const chunk of download(request, options)) all.push(chunk);
            return all;
          });
          yield* chunks;
        })();
      },
      listCidSetEvents: async (request, options) =>
        call(async () => bridge.listCidSetEvents(request, options)),
      getEntryByCid: async (request, options) => call(async () => bridge.getEntryByCid(request, options)),
      createEntry: async (request, options) => call(async () => bridge.createEntry(request, options)),
      listPolicies: async (request, options) => call(async () => bridge.listPolicies(request, options)),
      close: () => undefined,
    };
  }
}
