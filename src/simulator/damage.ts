import type { Entry } from '../dict/entry/entry.ts';
import { KEY_TYPES } from '../dict/entry/key-type.ts';
import type { KeyType } from '../dict/entry/key-type.ts';
import { DvError } from '../errors/dv-error.ts';
import { generateKeyBase } from './key-base.ts';
import { companyName, personName } from './people.ts';
import { Random } from './random.ts';

export interface Damage {
  /** Keys that only DICT has. */
  dictOnly: number;
  /** Keys that only the local base has. */
  localOnly: number;
  /** Keys that both have, with the same request id but another account number or name. */
  changed: number;
}

export interface DamagedBase {
  /** The entries of the local base. DICT has `entries` as given. */
  local: Entry[];
  plan: Record<KeyType, Damage>;
}

/**
 * Makes a local base that differs from `entries` (of one participant) in exactly `perType` keys of each key type
 * present. About a third each is missing, extra and changed; from `perType` 3 on there is at least one of each. The
 * same seed makes the same differences. Throws DV_DAMAGE_TOO_LARGE if a type has fewer keys than `perType`.
 */
export function damage(entries: readonly Entry[], options: { perType: number; seed: number }): DamagedBase {
  const { perType, seed } = options;
  const byType = Map.groupBy(entries, (entry) => entry.keyType);
  const plan = Object.fromEntries(
    KEY_TYPES.map((keyType) => [keyType, { dictOnly: 0, localOnly: 0, changed: 0 }]),
  ) as Record<KeyType, Damage>;
  const local: Entry[] = [];
  for (const [keyType, base] of byType) {
    if (perType > base.length) {
      throw new DvError(
        'DV_DAMAGE_TOO_LARGE',
        `${perType} keys of type ${keyType} cannot be divergent, because there are only ${base.length}. Ask for fewer divergent keys, or for more keys.`,
      );
    }
    const random = new Random(seed, 'damage', keyType);
    const counts = split(perType, random);
    plan[keyType] = counts;
    const chosen = sample(base.length, counts.dictOnly + counts.changed, random);
    const missing = new Set(chosen.slice(0, counts.dictOnly));
    const changed = new Set(chosen.slice(counts.dictOnly));
    base.forEach((entry, index) => {
      if (missing.has(index)) return;
      local.push(changed.has(index) ? change(entry, random) : entry);
    });
    if (counts.localOnly > 0) local.push(...extras(base, counts.localOnly, seed));
  }
  return { local, plan };
}

/** Splits into thirds. The remainder goes to random kinds. */
function split(total: number, random: Random): Damage {
  const counts = [0, 1, 2].map(() => Math.floor(total / 3));
  for (const kind of random.shuffle([0, 1, 2]).slice(0, total % 3)) counts[kind]! += 1;
  return { dictOnly: counts[0]!, localOnly: counts[1]!, changed: counts[2]! };
}

/** `count` different indices below `length`. */
function sample(length: number, count: number, random: Random): number[] {
  if (count > length / 4) return random.shuffle([...Array(length).keys()]).slice(0, count);
  const indices = new Set<number>();
  while (indices.size < count) indices.add(random.below(length));
  return [...indices];
}

function change(entry: Entry, random: Random): Entry {
  if (random.chance(0.5)) {
    const last = Number(entry.accountNumber.at(-1));
    const other = (last + 1 + random.below(9)) % 10;
    return { ...entry, accountNumber: `${entry.accountNumber.slice(0, -1)}${other}` };
  }
  const makeName = entry.ownerType === 'LEGAL_PERSON' ? companyName : personName;
  let name = entry.name;
  while (name === entry.name) name = makeName(random);
  return { ...entry, name };
}

/** New entries of the same participant and key type, with keys that are not in the base. */
function extras(base: readonly Entry[], count: number, seed: number): Entry[] {
  const { participant, keyType } = base[0]!;
  const taken = new Set(base.map((entry) => entry.key));
  const found: Entry[] = [];
  for (let round = 1; found.length < count; round++) {
    // Another seed in each round, because the base may have been generated with this one.
    const candidates = generateKeyBase({
      participant,
      keyTypes: [keyType],
      keysPerType: count,
      seed: seed + round * 1_000_003,
    });
    for (const candidate of candidates) {
      if (found.length === count || taken.has(candidate.key)) continue;
      taken.add(candidate.key);
      found.push(candidate);
    }
  }
  return found;
}
