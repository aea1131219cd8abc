import type { Transaction } from '../engine/index.ts';
import type { KeyType } from '../dict/key-type.ts';
import type { Message } from './messages.ts';

/** Puts a message to Core-Dict into the outbox, in the transaction that causes it. */
export async function publish(
  tx: Transaction,
  participant: string,
  keyType: KeyType | 'ALL',
  runId: string,
  message: Message,
): Promise<void> {
  await tx.query('select dict.publish($1, $2, $3, $4, $5)', [
    participant,
    keyType,
    message.type,
    JSON.stringify(message.content),
    runId,
  ]);
}
