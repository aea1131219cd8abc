import { subscribeNatively } from './native-subscription.ts';
import { loadClient } from '../transports/pulsar-transport.ts';
import { errorsOf, type Subscription, type SubscriptionOptions } from './subscription.ts';
import { topicPath } from '../pulsar/websocket.ts';
import { subscribeByWebSocket } from './websocket-subscription.ts';

/**
 * Subscribes, and subscribes again after the broker was unreachable. The type is Key_Shared: it keeps the order per key
 * for any number of workers, and when a worker is gone the others get its keys immediately. With Failover all workers
 * except one would be idle, and the broker would not count redeliveries. Errors: DV_TOPIC_INVALID,
 * DV_NOTIFY_ADDON_MISSING.
 */
export async function subscribe(options: SubscriptionOptions): Promise<Subscription> {
  // Checked here, so that an invalid topic is reported immediately instead of being retried for ever.
  const { settingsPrefix, topic, deadLetterTopic } = options;
  topicPath(topic, `${settingsPrefix}_TOPIC`);
  if (deadLetterTopic !== undefined) topicPath(deadLetterTopic, `${settingsPrefix}_DEAD_LETTER_TOPIC`);
  if (/^wss?:/.test(options.url)) return subscribeByWebSocket(options);
  await loadClient(errorsOf(options));
  return subscribeNatively(options);
}
