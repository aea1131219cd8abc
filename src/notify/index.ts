export { alertBody, type AlertFormat, type AlertOptions } from './outbox/alert.ts';
export type { CloudEvent } from './outbox/envelope.ts';
export type { Message, VerifiedKeyType } from './outbox/messages.ts';
export {
  publish,
  publishChanges,
  publishNotification,
  publishUndoDone,
  publishUndone,
  publishVerificationSummary,
  readPublished,
} from './outbox/outbox.ts';
export type { NotifyContent } from './outbox/personal-data.ts';
export { CHANNEL, postgresTransport } from './transports/postgres-transport.ts';
export type { PulsarSettings } from './pulsar/pulsar-connection.ts';
export { relayOutbox, type RelayOptions } from './outbox/relay.ts';
export { expireMessages } from './outbox/message-retention.ts';
export {
  dropAlerts,
  listUndelivered,
  readTroubledStreams,
  retryDead,
  type TroubledStream,
  type Undelivered,
} from './outbox/undelivered.ts';
export { openTransport } from './transports/open-transport.ts';
export type { Delivery, OutboxMessage, Transport } from './transports/transport.ts';
export { webhookTransport } from './transports/webhook-transport.ts';
export { readNotifications } from './subscriptions/database-messages.ts';
export { consumeKeyEvents } from './subscriptions/consume-key-events.ts';
export { subscribe } from './subscriptions/subscribe.ts';
export type {
  ReceivedMessage,
  Subscription,
  SubscriptionOptions,
  Verdict,
} from './subscriptions/subscription.ts';
