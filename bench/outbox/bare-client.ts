import { once } from 'node:events';
import { WebSocket } from 'ws';

/**
 * Sends texts through Pulsar's WebSocket API as a small script would, with at most `window` of them unacknowledged, and
 * stores nothing. Returns when all are acknowledged; throws when one is refused.
 */
export async function sendBare(
  base: string,
  topic: string,
  body: string,
  count: number,
  window: number,
): Promise<void> {
  const socket = new WebSocket(`${base}/ws/v2/producer/${topic.replace('://', '/')}`, {
    perMessageDeflate: false,
  });
  await once(socket, 'open');
  const message = JSON.stringify({ payload: Buffer.from(body).toString('base64'), key: topic });
  let sent = 0;
  let answered = 0;
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('message', (data: Buffer) => {
      if ((JSON.parse(data.toString()) as { result: string }).result !== 'ok')
        reject(new Error('not acknowledged'));
      answered++;
      if (answered === count) resolve();
      else if (sent < count) {
        sent++;
        socket.send(message);
      }
    });
    for (; sent < Math.min(window, count); sent++) socket.send(message);
  });
  socket.close();
  await once(socket, 'close');
}
