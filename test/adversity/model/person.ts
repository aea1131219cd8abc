import type { Pool } from 'pg';
import { ISPB, KEY_TYPE, type World } from './world.ts';

/** The closed reconciliations that changed a key that no undo has processed, oldest first. */
const UNDOABLE = `
  select r.id from workflow.runs r
  where r.machine = 'reconciliation' and r.closed_at is not null and exists (
    select from dict.divergences d where d.run_id = r.id and d.decision in ('ADDED', 'CORRECTED', 'REMOVED')
      and not exists (select from dict.undone u where u.run_id = d.run_id and u.key = d.key))
  order by r.created_at`;

/** Whether a run waits with keys that only the local base has. */
const REGISTRABLE = `
  select from dict.divergences d
  join dict.entries e on e.participant = '${ISPB}' and e.key_type = '${KEY_TYPE}' and e.cid = d.cid and e.removed_at is null
  where d.run_id = $1 and d.round = (select max(round) from dict.rounds where run_id = $1)
    and d.side = 'LOCAL_ONLY' and d.decision = 'PENDING' and d.planned is distinct from 'CORRECT'`;

/** The person who decides, undoes, releases and cancels. */
export class Person {
  readonly #pool: Pool;
  readonly #world: World;

  constructor(pool: Pool, world: World) {
    this.#pool = pool;
    this.#world = world;
  }

  /** Does something that nobody asked for. */
  async act(): Promise<void> {
    const what = this.#world.random.pick(['undo', 'undo', 'undo', 'release', 'cancel'] as const);
    if (what === 'undo') await this.#undo(await this.#undoable());
    else if (what === 'release') await this.#releaseOne();
    else await this.#cancel();
  }

  /** Approves or rejects what a run waits with; always approves while all is `quiet`. */
  async decide(run: string, quiet: boolean): Promise<void> {
    const { random } = this.#world;
    if (!quiet && random.chance(0.1)) {
      this.#note('reject');
      await this.#pool.query(`select dict.reject_reconciliation($1, 'ana', 'odd')`, [run]);
      return;
    }
    if (!quiet && random.chance(0.7) && ((await this.#pool.query(REGISTRABLE, [run])).rowCount ?? 0) > 0) {
      this.#note('register');
      await this.#pool.query(`select dict.register_local_only($1, null, 'ana', 'ours')`, [run]);
    }
    this.#note('approve');
    await this.#pool.query(`select dict.approve_reconciliation($1, 'ana', 'fine')`, [run]);
  }

  /** Decides that every UNSURE key is to be removed; returns the reconciliation that does it. */
  async decidesUnsure(): Promise<string | undefined> {
    const { rows } = await this.#pool.query<{ run: string }>(
      'select distinct run_id as run from dict.unsure_keys',
    );
    if (rows.length === 0) return undefined;
    this.#note('remove unsure');
    for (const { run } of rows)
      await this.#pool.query(`select dict.remove_unsure($1, null, 'ana', 'asked')`, [run]);
    const { rows: started } = await this.#pool.query<{ id: string }>(
      `select id from workflow.runs where machine = 'reconciliation' and closed_at is null`,
    );
    return started[0]?.id;
  }

  /** Sometimes undoes the last reconciliation that changed something. */
  async undoesLast(): Promise<boolean> {
    const runs = this.#world.random.chance(0.4) ? await this.#undoable() : [];
    await this.#undo(runs.slice(-1));
    return runs.length > 0;
  }

  /** Releases every held key. */
  async release(): Promise<void> {
    this.#note('release all');
    await this.#pool.query(`select dict.release_keys('ana', '${ISPB}')`);
    const { undo } = this.#world.witness;
    undo.released([...undo.held]);
  }

  async #undoable(): Promise<string[]> {
    const { rows } = await this.#pool.query<{ id: string }>(UNDOABLE);
    return rows.map(({ id }) => id);
  }

  async #undo(runs: readonly string[]): Promise<void> {
    if (runs.length === 0) return;
    this.#note('undo');
    await this.#pool.query(`select dict.start_undo($1, 'ana')`, [this.#world.random.pick(runs)]);
  }

  async #releaseOne(): Promise<void> {
    const { undo } = this.#world.witness;
    if (undo.held.size === 0) return;
    const key = this.#world.random.pick([...undo.held]);
    this.#note(`release ${key}`);
    await this.#pool.query(`select dict.release_keys('ana', '${ISPB}', key => $1)`, [key]);
    undo.released([key]);
  }

  async #cancel(): Promise<void> {
    const { rows } = await this.#pool.query<{ id: string; machine: string }>(
      `select id, machine from workflow.runs where closed_at is null order by created_at, machine`,
    );
    if (rows.length === 0) return;
    const { id, machine } = this.#world.random.pick(rows);
    this.#note(`cancel ${machine}`);
    await this.#pool.query(`select workflow.cancel($1, 'ana')`, [id]);
  }

  #note(what: string): void {
    this.#world.witness.note(this.#world.now, what);
  }
}
