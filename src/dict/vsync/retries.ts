import { passingCodes } from '../../errors/catalogue.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from './vsync-store.ts';

/** An automatic retry to come (the view dict.retries). */
export interface Retry {
  participant: string;
  keyType: KeyType;
  /** Its number since the last OK or the last tick, from 1. */
  retry: number;
  /** Why there will be one, in a sentence. */
  reason: string;
  dueAt: Date;
}

/** The automatic retries to come, by participant and key type. */
export async function readRetries(db: Db): Promise<Retry[]> {
  const { rows } = await db.query<Retry>(
    `select participant, key_type as "keyType", retry, reason, due_at as "dueAt"
     from dict.retries order by participant, key_type`,
  );
  return rows;
}

/**
 * Stores RETRY_MINUTES (numbers separated by commas, or 0), and which errors may pass, in the database, where
 * dict.retries reads them.
 */
export async function configureRetries(db: Db, setting: string): Promise<void> {
  const minutes = setting === '0' ? [] : setting.split(',').map(Number);
  await db.query('update dict.retry_policy set minutes = $1, passing_codes = $2', [minutes, passingCodes()]);
}

/** A verification that was started as an automatic retry. */
export interface StartedRetry {
  runId: string;
  participant: string;
  keyTypes: KeyType[];
  reason: string;
}

/** Starts the automatic retries that are due, each once, even if several workers look simultaneously. */
export async function startRetries(db: Db): Promise<StartedRetry[]> {
  const { rows } = await db.query<StartedRetry>(
    `select run_id as "runId", participant, key_types as "keyTypes", reason from dict.start_retries()`,
  );
  return rows;
}
