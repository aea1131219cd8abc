import type { Pool } from 'pg';
import { expect } from 'vitest';
import { activities } from '../../../tasks/index.ts';
import { type Bridge } from '../../../src/bridge/index.ts';
import { readSettings } from '../../../src/settings.ts';
import { limitedBridge } from '../../../src/dict/rate-limits/rate-limits.ts';
import { foldDeltas } from '../../../src/dict/vsync/vsync-store.ts';
import { Executor } from '../../../src/engine/executor.ts';
import { createLog } from '../../../src/log.ts';
import type { Services } from '../../../src/workflows/activity-services.ts';
import { type Operation } from '../../../src/simulator/index.ts';
import { machines } from '../../../src/workflows/index.ts';
import { Incarnation } from './incarnation.ts';
import { Person } from './person.ts';
import { ISPB, KEY_TYPE, MARGIN_SECONDS, type World } from './world.ts';

const log = await createLog({ level: 'silent', pretty: false });
export const WORKER = 'model';

/** How many things happen before the system must come to rest, and how often that is demanded. */
const ACTIONS = 60;
const QUIET_POINTS = 2;

interface OpenRun {
  id: string;
  state: string;
  status: string;
  due: boolean;
  /** Milliseconds until it wakes. */
  wakes: number;
}

/** One seed: a world, its worker, and a driver that lets sometimes the one, sometimes the other do something. */
export class Model {
  readonly #pool: Pool;
  readonly #world: World;
  readonly #settings: ReturnType<typeof readSettings>;
  readonly #bridge: Bridge;
  readonly #person: Person;
  #executor!: Executor<Services>;
  #life!: Incarnation;
  readonly #limits: boolean;
  #quiet = true;

  constructor(pool: Pool, world: World, bridge: Bridge, options: { tempDir: string; limits: boolean }) {
    this.#pool = pool;
    this.#world = world;
    this.#bridge = bridge;
    this.#person = new Person(pool, world);
    this.#limits = options.limits;
    this.#settings = readSettings({
      PARTICIPANT_ISPB: ISPB,
      TEMP_DIR: options.tempDir,
      IN_FLIGHT_MARGIN_SECONDS: String(MARGIN_SECONDS),
      MANUAL_APPROVAL_THRESHOLD: String(world.random.pick([0, 3, 100])),
      EVENT_LOG_MAX_HOURS: String(world.random.pick([0, 36, 36])),
      APPROVAL_FRESH_MINUTES: '1',
    });
    this.#beBorn();
  }

  async play(): Promise<void> {
    await this.#world.begin();
    for (let point = 0; point < QUIET_POINTS; point++) {
      this.#quiet = false;
      for (let action = 0; action < ACTIONS; action++) await this.#something();
      this.#quiet = true;
      await this.#comeToRest();
    }
  }

  async #something(): Promise<void> {
    const { random, dict } = this.#world;
    const dice = random.below(100);
    if (dice < 30) return this.#world.act(true);
    if (dice < 38) return this.#world.pass(random.below(random.pick([50, 5000, 40_000])));
    if (dice < 40) return void (await foldDeltas(this.#pool, 5));
    if (dice < 44) return this.#startSomething();
    if (dice < 46) return this.#person.act();
    if (dice < 49) {
      dict.faults.on({
        kind: 'problem',
        status: random.pick([500, 503, 503, 429]),
        operation: random.pick<Operation>([
          'getEntryByCid',
          'listCidSetEvents',
          'createSyncVerification',
          'getCidSetFile',
        ]),
        times: 1 + random.below(2),
      });
      return;
    }
    if (dice < 50) return this.#world.harden();
    if (dice < 52) {
      dict.faults.on({
        kind: random.pick(['file_error', 'file_wrong_sha256', 'file_duplicate_line']),
        times: 1,
      });
      return;
    }
    await this.#step();
  }

  async #startSomething(): Promise<void> {
    const start = this.#world.random.chance(0.5) ? 'dict.start_reconciliation' : 'dict.start_verification';
    await this.#pool.query(`select ${start}($1, array['${KEY_TYPE}'])`, [ISPB]);
  }

  /** One step of one run, or time until there is one, or a person's decision. False: no run is open. */
  async #step(): Promise<boolean> {
    const { random } = this.#world;
    const { rows } = await this.#pool.query<OpenRun>(
      `select id, state, status, coalesce(wake_at <= workflow.now(), false) as due,
         coalesce(ceil(extract(epoch from wake_at - workflow.now()) * 1000), 0)::float8 as wakes
       from workflow.runs where closed_at is null order by created_at, machine`,
    );
    if (rows.length === 0) return false;
    const run = random.pick(rows);
    if (run.status === 'WAITING') {
      await this.#person.decide(run.id, this.#quiet);
      return true;
    }
    if (!run.due) {
      await this.#world.pass(this.#quiet ? run.wakes : Math.min(run.wakes, random.below(20_000)));
      return true;
    }
    if (run.state === 'apply' || run.state === 'undo') await this.#world.letGo();
    await this.#takeStep(run);
    return true;
  }

  async #takeStep({ id, state }: OpenRun): Promise<void> {
    const { random } = this.#world;
    const began = this.#world.now;
    this.#note(`step ${state}`);
    if (!this.#quiet && random.chance(0.12)) this.#life.light(1 + random.below(14));
    const ended = await Promise.race([this.#executor.advance(id), this.#life.crashed]);
    if (ended === 'crashed') {
      this.#note('  crashed');
      this.#beBorn();
    } else this.#life.light(Infinity);
    await this.#world.witness.afterStep(state, began, this.#world.now);
  }

  #beBorn(): void {
    this.#life = new Incarnation(this.#pool, this.#bridge, async () => this.#meanwhile());
    this.#executor = new Executor<Services>({
      pool: this.#life.pool,
      workerId: WORKER,
      machines,
      activities,
      services: {
        pool: this.#life.pool,
        bridge: this.#limits ? limitedBridge(this.#life.bridge, this.#life.pool) : this.#life.bridge,
        settings: this.#settings,
      },
      log,
    });
    // While draining, it takes one step at a time.
    this.#executor.drain();
  }

  /** While a call is in progress. */
  async #meanwhile(): Promise<void> {
    const { random } = this.#world;
    if (this.#quiet || !random.chance(0.2)) return;
    if (random.chance(0.6)) await this.#world.act(false);
    else await this.#world.pass(random.below(3000));
  }

  async #comeToRest(): Promise<void> {
    this.#note('quiet');
    const { witness, dict } = this.#world;
    dict.faults.clear();
    witness.logReadable();
    this.#life.light(Infinity);
    await this.#world.letGo();
    await this.#world.comeToRest();
    await this.#finish();
    if (await this.#person.undoesLast()) await this.#finish();
    await this.#world.comeToRest();
    if (witness.undo.held.size > 0) {
      await this.#reconcileLast();
      await this.#person.release();
    }
    await this.#reconcileLast();
    expect(witness.differing()).toEqual([]);
    const { rowCount: unended } = await this.#pool.query(
      'select from dict.reconciliations where ended_at is null or outcome is null',
    );
    expect(unended).toBe(0);
  }

  async #finish(): Promise<void> {
    for (let steps = 0; await this.#step(); steps++) if (steps > 500) throw new Error('a run never ends');
  }

  /** Nothing moves any more: both sides end equal, except for the keys that a person keeps held. */
  async #reconcileLast(): Promise<void> {
    const { witness } = this.#world;
    this.#note('last reconciliation');
    const { rows } = await this.#pool.query<{ id: string }>(
      `select dict.start_reconciliation($1, array['${KEY_TYPE}']) as id`,
      [ISPB],
    );
    await this.#finish();
    // What DICT refused to register stays until a person decides; then a reconciliation of its own removes it.
    const last = (await this.#person.decidesUnsure()) ?? rows[0]?.id;
    await this.#finish();
    const run = await this.#pool.query<{ status: string; code: string | null }>(
      `select status, error ->> 'code' as code from workflow.runs where id = $1`,
      [last],
    );
    await witness.expectBase();
    const differing = witness.differing();
    expect(differing.filter((key) => !witness.undo.held.has(key))).toEqual([]);
    expect(run.rows[0]).toEqual(
      differing.length === 0
        ? { status: 'COMPLETED', code: null }
        : { status: 'FAILED', code: 'DV_KEYS_HELD' },
    );
  }

  #note(what: string): void {
    this.#world.witness.note(this.#world.now, what);
  }
}
