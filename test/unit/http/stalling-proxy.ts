import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A proxy to a database that can stall: connections stay open and new ones are accepted, but nothing comes through. */
export interface StallingProxy {
  /** The database's URL through the proxy. */
  url: string;
  stall(): void;
  /** Lets new connections through again, to this database or the same one. What was lost meanwhile stays lost. */
  resume(databaseUrl?: string): void;
  close(): Promise<void>;
}

export async function startStallingProxy(databaseUrl: string): Promise<StallingProxy> {
  let target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const links = new Set<{ open: boolean }>();
  let stalled = false;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  };
  const server = createServer((near) => {
    keep(near);
    const far = connect(Number(target.port), target.hostname);
    keep(far);
    // A connection that has met the stall stays silent for ever.
    const through = { open: !stalled };
    links.add(through);
    near.on('data', (data) => through.open && far.write(data)).on('close', () => far.destroy());
    far
      .on('data', (data) => through.open && near.write(data))
      .on('close', () => {
        links.delete(through);
        if (through.open) near.destroy();
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    stall: () => {
      stalled = true;
      for (const link of links) link.open = false;
    },
    resume: (other) => {
      stalled = false;
      if (other !== undefined) target = new URL(other);
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
