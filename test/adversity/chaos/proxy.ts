import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A proxy in front of a Postgres that can fail as networks do. */
export interface ChaosProxy {
  /** A database's URL through the proxy. */
  through(url: string): string;
  /** Where new connections go from now on: a restarted server has another port. */
  retarget(port: number): void;
  /**
   * Until false: connections stay open and new ones are accepted, but nothing comes through. What was swallowed is
   * lost.
   */
  blackHole(on: boolean): void;
  /**
   * From now on each connection's next commit (an explicit one, or a statement's own) reaches the server, which
   * executes it; its answer is dropped and the connection cut. Each connection loses one answer.
   */
  loseCommitAnswers(): void;
  /** How many answers were dropped until now. */
  lost(): number;
  close(): Promise<void>;
}

/** ReadyForQuery, idle: what ends the server's answer when no transaction is open any more. */
const READY_IDLE = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

interface Pair {
  near: Socket;
  far: Socket;
  /** The next commit's answer is to be dropped. */
  losing: boolean;
  /** The client sent something since `losing`. */
  asked: boolean;
}

export async function startChaosProxy(targetPort: number): Promise<ChaosProxy> {
  let port = targetPort;
  let hole = false;
  let dropped = 0;
  const pairs = new Set<Pair>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    const pair: Pair = { near, far, losing: false, asked: false };
    pairs.add(pair);
    const cut = () => {
      near.destroy();
      far.destroy();
      pairs.delete(pair);
    };
    near.on('error', cut).on('close', cut);
    far.on('error', cut).on('close', cut);
    near.on('data', (data) => {
      if (hole) return;
      pair.asked ||= pair.losing;
      far.write(data);
    });
    far.on('data', (data: Buffer) => {
      if (hole) return;
      if (pair.losing && pair.asked && data.subarray(-6).equals(READY_IDLE)) {
        dropped += 1;
        cut();
      } else {
        near.write(data);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const own = (server.address() as AddressInfo).port;
  return {
    through(url) {
      const changed = new URL(url);
      changed.host = `127.0.0.1:${own}`;
      return changed.href;
    },
    retarget(to) {
      port = to;
    },
    blackHole(on) {
      hole = on;
      // A half-sent message cannot continue: the peers find out when the first byte comes through again.
      if (!on) for (const { near, far } of pairs) [near, far].forEach((socket) => socket.destroy());
    },
    loseCommitAnswers() {
      for (const pair of pairs) Object.assign(pair, { losing: true, asked: false });
    },
    lost: () => dropped,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const { near, far } of pairs) [near, far].forEach((socket) => socket.destroy());
      await closed;
    },
  };
}
