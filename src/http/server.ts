import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { DvError } from '../errors/dv-error.ts';
import type { Health } from './health.ts';

export interface HttpOptions {
  /** The loopback interface unless HTTP_HOST says otherwise, because there is no authentication. */
  host: string;
  /** 0: any free port. */
  port: number;
  health: Pick<Health, 'check'>;
  metrics: Pick<Registry, 'metrics' | 'contentType'>;
}

export interface HttpServer {
  /** `http://127.0.0.1:9464` */
  address: string;
  /** Accepts no more requests, and waits for the running ones for at most 2 s. */
  stop(): Promise<void>;
}

const STOP_MS = 2000;

/**
 * Serves `/livez` (200 while the process answers), `/readyz` (200 or 503, with all reasons) and `/metrics` (Prometheus
 * text). Errors: DV_HTTP_PORT if the server cannot listen on the address.
 */
export async function startHttp({ host, port, health, metrics }: HttpOptions): Promise<HttpServer> {
  const routes: Record<string, (response: ServerResponse) => Promise<void>> = {
    '/livez': async (response) => answer(response, 200, 'text/plain; charset=utf-8', 'ok\n'),
    '/readyz': async (response) => {
      const readiness = await health.check();
      const body = `${JSON.stringify(readiness)}\n`;
      answer(response, readiness.ready ? 200 : 503, 'application/json', body);
    },
    '/metrics': async (response) => {
      answer(response, 200, metrics.contentType, await metrics.metrics());
    },
  };
  const server = createServer((request, response) => {
    const route = routes[(request.url ?? '').split('?')[0] ?? ''];
    if (route === undefined) return answer(response, 404, 'text/plain; charset=utf-8', 'not found\n');
    if (request.method !== 'GET') {
      response.setHeader('allow', 'GET');
      return answer(response, 405, 'text/plain; charset=utf-8', 'method not allowed\n');
    }
    route(response).catch(() => answer(response, 500, 'text/plain; charset=utf-8', 'failed\n'));
  });
  await listen(server, host, port);
  return { address: addressOf(server), stop: async () => stop(server) };
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(body);
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'another program uses it' : String(code);
    throw new DvError(
      'DV_HTTP_PORT',
      `The HTTP server cannot listen on port ${port} of ${host} (${why}). Set HTTP_PORT to a free port (0: any) and HTTP_HOST to an address of this machine.`,
      { cause },
    );
  }
}

function addressOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has a port');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}

async function stop(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  const timer = setTimeout(() => server.closeAllConnections(), STOP_MS);
  await closed;
  clearTimeout(timer);
}
