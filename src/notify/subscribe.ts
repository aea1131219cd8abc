import { subscribeNatively } from './native-subscription.ts';
import type { Subscription, SubscriptionOptions } from './subscription.ts';
import { topicPath } from './web-socket.ts';
import { subscribeByWebSocket } from './web-socket-subscription.ts';

/**
 * Subscribes, and keeps subscribed through the broker's absence. Key_Shared: order per key for any number of workers, and a
 * worker that is gone leaves its keys to the others at once; in Failover all but one would idle, and the broker counts no
 * redeliveries there. DV_TOPIC_INVALID.
 */
export function subscribe(options: SubscriptionOptions): Subscription {
  // Said at once, not tried again and again.
  for (const topic of [options.topic, options.deadLetterTopic]) if (topic !== undefined) topicPath(topic);
  return /^wss?:/.test(options.url) ? subscribeByWebSocket(options) : subscribeNatively(options);
}
