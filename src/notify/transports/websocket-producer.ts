import type { WebSocket } from 'ws';
import type { DvError } from '../../errors/dv-error.ts';
import type { Producer } from './stream-producers.ts';
import { relayErrors } from '../pulsar/pulsar-errors.ts';
import type { OutboxMessage } from './transport.ts';

/** If no acknowledgement arrives within this time after sending, the broker counts as unreachable. */
const ACK_MS = 10_000;

/** How long the broker may take to close its side. */
const CLOSE_MS = 2000;

/** WebSocket's "message too big". */
const TOO_BIG = 1009;

/** Pulsar's answer to each message. `context` is the value that was sent with it. */
interface Ack {
  result: string;
  context?: string | null;
  errorCode?: number;
  errorMsg?: string;
}

/** Pulsar's error codes about the message itself: not JSON, not Base64. */
const UNREADABLE: ReadonlySet<number | undefined> = new Set([3, 7]);

/** Makes a producer from a WebSocket that has just opened. `write` makes the text of a message. */
export function webSocketProducer(
  socket: WebSocket,
  write: (message: OutboxMessage, context: string) => string,
): Producer {
  const waiting = new Map<string, PromiseWithResolvers<void>>();
  let sent = 0;
  let over: DvError | undefined;
  let timer: NodeJS.Timeout | undefined;

  const finish = (error: DvError): void => {
    over ??= error;
    clearTimeout(timer);
    for (const { reject } of waiting.values()) reject(over);
    waiting.clear();
    socket.terminate();
  };
  const watch = (): void => {
    clearTimeout(timer);
    if (waiting.size > 0) timer = setTimeout(() => finish(relayErrors.timeout()), ACK_MS);
  };
  socket.on('message', (data: Buffer) => {
    const ack = read(data);
    // Without a context, Pulsar could not read what we sent.
    if (typeof ack?.context !== 'string') {
      return finish(ack === undefined ? relayErrors.unreachable('its answer cannot be read') : refusal(ack));
    }
    const waiter = waiting.get(ack.context);
    waiting.delete(ack.context);
    if (ack.result === 'ok') waiter?.resolve();
    else waiter?.reject(refusal(ack));
    watch();
  });
  socket.on('error', (error) => finish(relayErrors.unreachable('the connection failed', error)));
  socket.on('close', (code) => {
    finish(
      code === TOO_BIG
        ? relayErrors.tooLarge()
        : relayErrors.unreachable(`it closed the connection, code ${code}`),
    );
  });

  return {
    send(message) {
      if (over !== undefined) return Promise.reject(over);
      const context = String(sent++);
      const answer = Promise.withResolvers<void>();
      waiting.set(context, answer);
      if (waiting.size === 1) watch();
      socket.send(write(message, context));
      return answer.promise;
    },
    async close() {
      over ??= relayErrors.unreachable('we closed the connection');
      if (socket.readyState === socket.CLOSED) return;
      // The producer's name stays in use until the broker has closed its side.
      const closed = new Promise((resolve) => socket.once('close', resolve));
      if (waiting.size > 0) socket.terminate();
      else socket.close();
      const late = setTimeout(() => socket.terminate(), CLOSE_MS);
      await closed;
      clearTimeout(late);
    },
  };
}

function read(data: Buffer): Ack | undefined {
  try {
    return JSON.parse(data.toString('utf8')) as Ack;
  } catch {
    return undefined;
  }
}

function refusal({ errorCode, errorMsg = '' }: Ack): DvError {
  if (/message size|bigger than|exceeds/i.test(errorMsg)) return relayErrors.tooLarge();
  return UNREADABLE.has(errorCode)
    ? relayErrors.refused()
    : relayErrors.unreachable(`it answered with error ${errorCode}`);
}
