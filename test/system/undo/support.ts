import { readVSync } from '../../../src/dict/vsync/vsync-store.ts';
import { fromDatabase } from '../../../src/engine/index.ts';
import { type Shown, localBase } from '../../support/inspect.ts';
import { ISPB, startSystem, type System, type SystemOptions } from '../../support/system.ts';

/** What was imported a moment ago is not in flight, and the first NOK counts. */
const QUICK = { IN_FLIGHT_MARGIN_SECONDS: '0', NOK_RECHECK_SECONDS: '0.01', FILE_POLL_SECONDS: '0.05' };

/** A system whose runs need not wait for the margin. */
export async function quickSystem(options: SystemOptions = {}): Promise<System> {
  return startSystem({ ...options, settings: { ...QUICK, ...options.settings } });
}

/** The present base: entries by key, and the VSync. */
export async function stateOf(
  { pool }: System,
  keyType: 'CPF' | 'EVP' = 'CPF',
): Promise<{ entries: Record<string, Shown>; vsync: string }> {
  const { vsync } = await readVSync(pool, ISPB, keyType);
  const base = [...(await localBase(pool))].sort(([a], [b]) => (a < b ? -1 : 1));
  return { entries: Object.fromEntries(base), vsync };
}

/** Starts an undo as a person with psql does; returns its run id. Throws coded errors as DvError. */
export async function startUndo({ pool }: System, run: string, by = 'ana'): Promise<string> {
  return one(pool.query<{ id: string }>(`select dict.start_undo($1, $2, 'DICT was wrong') as id`, [run, by]));
}

/** Undoes a reconciliation and waits for the end; returns the undo's run id. */
export async function undo(system: System, run: string): Promise<string> {
  const id = await startUndo(system, run);
  await system.waitForClosed(id);
  return id;
}

export async function one<T>(query: Promise<{ rows: { id: T }[] }>): Promise<T> {
  try {
    return (await query).rows[0]!.id;
  } catch (error) {
    throw fromDatabase(error);
  }
}

/** The result for each key that an undo processed, in order of the keys. */
export async function undone(
  { pool }: System,
  undoRun: string,
): Promise<{ key: string; decision: string; result: string; why: string | null }[]> {
  const { rows } = await pool.query<{ key: string; decision: string; result: string; why: string | null }>(
    'select key, decision, result, why from dict.undone where undo_run_id = $1 order by key',
    [undoRun],
  );
  return rows;
}

/** The keys held now, sorted. */
export async function heldNow({ pool }: System): Promise<string[]> {
  const { rows } = await pool.query<{ key: string }>(
    'select key from dict.held_keys where released_at is null',
  );
  return rows.map(({ key }) => key).sort();
}
