import { beforeAll, describe, expect, test } from 'vitest';
import { activities } from '../../../tasks/index.ts';
import { storeMachines } from '../../../src/engine/index.ts';
import { fingerprint } from '../../../src/engine/store-machines.ts';
import { machines } from '../../../src/workflows/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { readHistories } from '../../support/histories.ts';
import fingerprints from './fingerprints.json' with { type: 'json' };

// Runs that are open when a new program starts continue with the machine as it was stored when they began. So a
// released machine never changes under its version: a change makes a new version.

const CHANGED =
  'a changed machine is a new version: raise its version and add the new fingerprint, keep the old one';

describe.each(machines.map((machine) => ({ machine, name: machine.name, version: machine.version })))(
  '$name version $version',
  ({ machine, name, version }) => {
    const database = useTestDatabase();
    const stored = {
      initial: '',
      kinds: new Map<string, string>(),
      edges: new Set<string>(),
      tasks: [] as string[],
    };
    const histories = readHistories(name, version);

    beforeAll(async () => {
      await storeMachines(database.pool, [machine]);
      const of = [name, version];
      const { rows: initial } = await database.pool.query<{ initial: string }>(
        'select initial_state as initial from workflow.machines where name = $1 and version = $2',
        of,
      );
      stored.initial = initial[0]?.initial ?? '';
      const { rows: states } = await database.pool.query<{
        state: string;
        kind: string;
        task: string | null;
      }>('select state, kind, task from workflow.states where machine = $1 and version = $2', of);
      for (const { state, kind, task } of states) {
        stored.kinds.set(state, kind);
        if (task !== null) stored.tasks.push(task);
      }
      const { rows: edges } = await database.pool.query<{ edge: string }>(
        `select concat_ws(' ', state, outcome, next_state) as edge from workflow.transitions
         where machine = $1 and version = $2`,
        of,
      );
      for (const { edge } of edges) stored.edges.add(edge);
    });

    test('is what it was', () => {
      const known = (fingerprints as Record<string, string>)[`${name} v${version}`];
      expect(fingerprint(machine), CHANGED).toBe(known);
    });

    test('still leads every recorded run from its beginning to its end', () => {
      expect(histories.length, 'record one: RECORD_HISTORIES=1').toBeGreaterThan(0);
      for (const path of histories) {
        let state = stored.initial;
        for (const step of path) {
          expect(step.state, `${CHANGED}: the path is broken`).toBe(state);
          const edge = `${step.state} ${step.outcome} ${step.nextState}`;
          expect(stored.edges, `${CHANGED}: ${edge}`).toContain(edge);
          state = step.nextState;
        }
        expect(stored.kinds.get(state), `${CHANGED}: ${state} is no end`).toBe('terminal');
      }
    });

    test('has a recorded run for each of its ends', () => {
      const ends = [...stored.kinds].filter(([, kind]) => kind === 'terminal').map(([state]) => state);
      const reached = new Set(histories.map((path) => path.at(-1)?.nextState));
      expect(ends.filter((end) => !reached.has(end))).toEqual([]);
    });

    test('finds all its activities in this program', () => {
      expect(stored.tasks.filter((task) => !Object.hasOwn(activities, task))).toEqual([]);
    });
  },
);
