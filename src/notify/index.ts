export type { Message, VerifiedKeyType } from './messages.ts';
export { publish } from './outbox.ts';
export { CHANNEL, postgresWay } from './postgres-way.ts';
export { relayOutbox } from './relay.ts';
export type { OutboxMessage, Way } from './way.ts';
export { consumeKeyEvents } from './key-events.ts';
export { subscribe } from './subscribe.ts';
export type { ReceivedMessage, Subscription, SubscriptionOptions, Verdict } from './subscription.ts';
