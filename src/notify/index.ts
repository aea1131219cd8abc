export type { CloudEvent } from './envelope.ts';
export type { Message, VerifiedKeyType } from './messages.ts';
export { publish, publishChanges, publishUndone, readTold } from './outbox.ts';
export type { NotifyContent } from './personal-data.ts';
export { CHANNEL, postgresWay } from './postgres-way.ts';
export type { PulsarSettings } from './pulsar-settings.ts';
export { relayOutbox, type RelayOptions } from './relay.ts';
export { expireMessages } from './retention.ts';
export {
  listUndelivered,
  readTroubledStreams,
  retryDead,
  type TroubledStream,
  type Undelivered,
} from './undelivered.ts';
export { openWay } from './ways.ts';
export type { Delivery, OutboxMessage, Way } from './way.ts';
export { hearDatabase } from './database-messages.ts';
export { consumeKeyEvents } from './key-events.ts';
export { subscribe } from './subscribe.ts';
export type { ReceivedMessage, Subscription, SubscriptionOptions, Verdict } from './subscription.ts';
