import { subscribeNatively } from './native-subscription.ts';
import { loadClient } from '../transports/pulsar-transport.ts';
import type { Subscription, SubscriptionOptions } from './subscription.ts';
import { topicPath } from '../pulsar/websocket.ts';
import { subscribeByWebSocket } from './websocket-subscription.ts';

/**
 * Subscribes, and keeps subscribed through the broker's absence. Key_Shared: order per key for any number of workers, and a
 * worker that is gone leaves its keys to the others at once; in Failover all but one would idle, and the broker counts no
 * redeliveries there. Errors:
 * DV_TOPIC_INVALID, DV_NOTIFY_ADDON_MISSING.
 */
export async function subscribe(options: SubscriptionOptions): Promise<Subscription> {
  // Said at once, not tried again and again.
  for (const topic of [options.topic, options.deadLetterTopic]) if (topic !== undefined) topicPath(topic);
  if (/^wss?:/.test(options.url)) return subscribeByWebSocket(options);
  await loadClient();
  return subscribeNatively(options);
}
