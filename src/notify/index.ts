export type { Message, VerifiedKeyType } from './messages.ts';
export { publish } from './outbox.ts';
export { CHANNEL, postgresWay } from './postgres-way.ts';
export { relayOutbox } from './relay.ts';
export type { OutboxMessage, Way } from './way.ts';
