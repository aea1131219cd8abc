import { subscribeNatively } from './native-subscription.ts';
import { loadClient } from '../transports/pulsar-transport.ts';
import { errorsOf, type Subscription, type SubscriptionOptions } from './subscription.ts';
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
  const { settingsPrefix, topic, deadLetterTopic } = options;
  topicPath(topic, `${settingsPrefix}_TOPIC`);
  if (deadLetterTopic !== undefined) topicPath(deadLetterTopic, `${settingsPrefix}_DEAD_LETTER_TOPIC`);
  if (/^wss?:/.test(options.url)) return subscribeByWebSocket(options);
  await loadClient(errorsOf(options));
  return subscribeNatively(options);
}
