import type { Entry } from '../dict/entry/entry.ts';
import type { KeyType } from '../dict/entry/key-type.ts';
import { DvError } from '../errors/dv-error.ts';
import type { Owner } from './people.ts';
import { account, cnpjOf, cpfOf, legalPerson, mailbox, naturalPerson, padded } from './people.ts';
import { Random } from './random.ts';

export interface KeyBaseOptions {
  /** ISPB, 8 digits. */
  participant: string;
  keyTypes: readonly KeyType[];
  /** At most 10,000,000. */
  keysPerType: number;
  seed: number;
}

const MOST_KEYS = 10_000_000;
const LEGAL_SHARE = 0.15;
const MAIL_DOMAINS = ['example.com', 'example.net', 'example.org', 'mail.example.com'];
// Anatel's area codes.
const AREA_CODES = [
  11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 24, 27, 28, 31, 32, 33, 34, 35, 37, 38, 41, 42, 43, 44, 45, 46,
  47, 48, 49, 51, 53, 54, 55, 61, 62, 63, 64, 65, 66, 67, 68, 69, 71, 73, 74, 75, 77, 79, 81, 82, 83, 84, 85,
  86, 87, 88, 89, 91, 92, 93, 94, 95, 96, 97, 98, 99,
];

/**
 * Generates entries like those of a Brazilian participant, type by type: correct check digits, accents, leading zeros,
 * natural and legal persons. All are valid (validateEntry), and all keys and request ids are different. The same
 * options give the same entries. Another seed or participant gives other keys (the probability that two bases of a
 * million keys have a key in common is 1 in 50 for CNPJ, the smallest range, and far less for the others). Throws
 * DV_KEY_BASE_TOO_LARGE above 10,000,000 keys of a type.
 */
export function* generateKeyBase(options: KeyBaseOptions): Generator<Entry, void, undefined> {
  const { participant, keysPerType, seed } = options;
  if (keysPerType > MOST_KEYS) {
    throw new DvError('DV_KEY_BASE_TOO_LARGE', `Ask for at most ${MOST_KEYS} generated keys of each type.`);
  }
  for (const keyType of options.keyTypes) {
    const random = new Random(seed, participant, keyType);
    const makeKey = keyMakers[keyType](random);
    for (let i = 0; i < keysPerType; i++) {
      const { key, owner } = makeKey(i);
      yield { participant, keyType, key, requestId: random.uuid(), ...owner, ...account(random) };
    }
  }
}

type KeyMaker = (index: number) => { key: string; owner: Owner };

const keyMakers: Record<KeyType, (random: Random) => KeyMaker> = {
  CPF: (random) => {
    const number = distinct(random, 1e9);
    return (i) => {
      const key = cpfOf(number(i));
      return { key, owner: naturalPerson(random, key) };
    };
  },
  CNPJ: (random) => {
    const number = distinct(random, 1e8);
    return (i) => {
      const key = cnpjOf(number(i));
      return { key, owner: legalPerson(random, key) };
    };
  },
  PHONE: (random) => {
    const number = distinct(random, AREA_CODES.length * 1e8);
    return (i) => {
      const n = number(i);
      return { key: `+55${AREA_CODES[Math.floor(n / 1e8)]}9${padded(n % 1e8, 8)}`, owner: anyPerson(random) };
    };
  },
  EMAIL: (random) => {
    const number = distinct(random, 1e8);
    return (i) => {
      const owner = anyPerson(random);
      return { key: `${mailbox(owner.name).slice(0, 40)}${number(i)}@${random.pick(MAIL_DOMAINS)}`, owner };
    };
  },
  EVP: (random) => () => ({ key: random.uuid(), owner: anyPerson(random) }),
};

function anyPerson(random: Random): Owner {
  return random.chance(LEGAL_SHARE) ? legalPerson(random) : naturalPerson(random);
}

// A prime that does not divide any of the ranges: index × stride, modulo the range, gives every number once.
const STRIDE = 12_345_701;

/** Different numbers below `range` for different indices, without remembering them. index × stride stays exact. */
function distinct(random: Random, range: number): (index: number) => number {
  const start = random.below(Math.min(range, 2 ** 32));
  return (index) => (start + index * STRIDE) % range;
}
