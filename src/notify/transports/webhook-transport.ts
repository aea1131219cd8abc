import { DvError } from '../../errors/dv-error.ts';
import type { Delivery, OutboxMessage, Transport } from './transport.ts';

/** Time limit for one request. */
const ANSWER_MS = 10_000;

/** No request begins after this time, so that the whole batch ends before the relay's own time limit. */
const BATCH_MS = 15_000;

/** Answers by which the receiver asks for a later try: too slow, too early, too many requests. */
const TRY_LATER = new Set([408, 425, 429]);

/**
 * The transport for alerts: one POST with a JSON body for each message. An answer 2xx means delivered. The URL may
 * contain a secret (those of Slack do), so no error contains it, nor the answer.
 */
export function webhookTransport(url: string, { answerMs = ANSWER_MS } = {}): Transport {
  return {
    name: 'webhook',
    async deliver(messages) {
      const end = performance.now() + BATCH_MS;
      let delivered = 0;
      for (const message of messages) {
        const error = await post(url, message, answerMs);
        if (error !== undefined) return { delivered, error } satisfies Delivery;
        delivered++;
        if (performance.now() > end) break;
      }
      return { delivered };
    },
    close: async () => undefined,
  };
}

async function post(url: string, { body }: OutboxMessage, answerMs: number): Promise<DvError | undefined> {
  let status: number;
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'dict-vsync' },
      body,
      // Followed, an alert would go to an address that no person has configured.
      redirect: 'manual',
      signal: AbortSignal.timeout(answerMs),
    });
    ({ status } = response);
    // The body is never read, however long it is.
    await response.body?.cancel().catch(() => undefined);
  } catch {
    return new DvError(
      'DV_ALERT_UNREACHABLE',
      'The receiver of alerts cannot be reached, or did not answer in time.',
    );
  }
  if (status >= 200 && status < 300) return undefined;
  const answer = `The receiver of alerts answered with HTTP status ${status}.`;
  if (status >= 500 || TRY_LATER.has(status)) return new DvError('DV_ALERT_UNREACHABLE', answer);
  return new DvError('DV_ALERT_REFUSED', answer);
}
