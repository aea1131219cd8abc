import type { Entry } from '../dict/entry/entry.ts';
import { KEY_TYPES } from '../dict/entry/key-type.ts';
import type { KeyType } from '../dict/entry/key-type.ts';
import { DvError } from '../errors/dv-error.ts';
import { generateKeyBase } from './key-base.ts';
import { companyName, personName } from './people.ts';
import { Random } from './random.ts';

export interface Damage {
  /** Keys DICT has and the local base lacks. */
  dictOnly: number;
  /** Keys the local base has and DICT lacks. */
  localOnly: number;
  /** Keys both have, with the same request id and another account number or name. */
  changed: number;
}

export interface DamagedBase {
  /** What the local base is to hold; DICT holds `entries` as given. */
  local: Entry[];
  plan: Record<KeyType, Damage>;
}

/**
 * Makes a local base that differs from `entries` (one participant's) in exactly `perType` keys of each key type
 * present: about a third each missing, extra and changed, all three from 3 on. The same seed does the same damage.
 * DV_DAMAGE_TOO_LARGE when a type has fewer keys than `perType`.
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
        `Cannot make ${perType} keys of type ${keyType} divergent: there are ${base.length}. Ask for fewer divergent keys, or for more keys.`,
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

/** Thirds; what is left over goes to kinds at random. */
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

/** New entries of the base's participant and key type with keys that are not in it. */
function extras(base: readonly Entry[], count: number, seed: number): Entry[] {
  const { participant, keyType } = base[0]!;
  const taken = new Set(base.map((entry) => entry.key));
  const found: Entry[] = [];
  for (let round = 1; found.length < count; round++) {
    // Another seed each round: the base itself may have been generated from this one.
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
