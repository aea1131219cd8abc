import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

/** Each rule and edge case of the domain (BACEN's DICT API 2.6.1 and Manual, section 9), and the tests of it. */
const COVERED: Record<string, Record<string, readonly [file: string, ...names: string[]][]>> = {
  'CID and VSync': {
    "BACEN's own vectors": [
      ['test/unit/dict/entry/cid.test.ts', "message and CID equal those of BACEN's vector"],
      ['test/unit/dict/entry/cid-sql.test.ts', "the column has BACEN's own CID"],
      ['test/unit/dict/vsync/vsync.test.ts', "BACEN's vector"],
    ],
    'null is ""': [['test/unit/dict/entry/cid.test.ts', 'a null counts as an empty text']],
    'byte-exact: no trimming, case folding or normalisation; zeros count': [
      ['test/unit/dict/entry/cid.test.ts', 'every attribute counts, byte by byte'],
      ['test/unit/dict/key-base/csv.test.ts', 'NFD stays NFD'],
      ['test/unit/dict/key-base/import.test.ts', 'odd characters arrive byte by byte'],
      ['test/unit/dict/entry/cid-sql.test.ts', 'the column equals computeCid for any text'],
    ],
    'the opening date is not part of it': [
      [
        'test/unit/dict/entry/cid.test.ts',
        'the opening date, the owner type and the case of the RequestId do not',
      ],
      [
        'test/unit/dict/event-log/replay-source.test.ts',
        'after a change outside the CID: the CID was there and is there, even if it leaves later',
      ],
    ],
    'updateEntry keeps the RequestId; a claim brings another': [
      ['test/unit/simulator/directory.test.ts', 'updateEntry keeps the RequestId, changes the CID'],
      ['test/system/e2e/while-keys-change.test.ts', 'the claimer gains the key'],
    ],
    'a CID can come back (A → B → A)': [
      ['test/unit/dict/key-base/cid-log.test.ts', 'a content that comes back (A → B → A)'],
      ['test/unit/dict/event-log/event-log.test.ts', 'the last event of a CID decides (A → B → A)'],
      ['test/unit/dict/event-log/replay-source.test.ts', 'A → B → A: A was there and is there'],
      ['test/unit/dict/repair/in-flight.test.ts', 'A → B → A since the snapshot'],
    ],
    'the empty set is 64 zeros': [
      ['test/unit/dict/vsync/vsync.test.ts', 'the empty set is 64 zeros'],
      ['test/system/e2e/verification.test.ts', 'is in sync where neither side has a key'],
    ],
    'an ISPB is 8 digits, leading zeros count': [
      ['test/unit/dict/entry/entry-validation.test.ts', 'an ISPB is 8 digits, leading zeros included'],
    ],
    'a CNPJ may have letters; check digits are DICT’s business': [
      [
        'test/unit/dict/entry/entry-validation.test.ts',
        'of a CNPJ with letters, any single wrong character is noticed',
        "BACEN's example CPF as a key",
      ],
      ['test/unit/cli/import.test.ts', 'it takes what DICT has though it is unusual'],
      [
        'test/system/key-events/read.test.ts',
        'a CNPJ with letters and wrong check digits are taken as they are',
      ],
    ],
    'BACEN may add values to its enumerations': [
      ['test/unit/bridge/nonsense.test.ts', 'what BACEN may add is taken as it is'],
      [
        'test/system/e2e/growing-dict.test.ts',
        'entries with values that BACEN added, and a CNPJ with letters, are taken from DICT as they are',
        'a file with a status that BACEN added is waited for, and the log names the status once',
      ],
    ],
    'many clients send "" for an absent optional field': [
      ['test/system/key-events/read.test.ts', '"" in the optional field %s is null'],
    ],
    'a participant that is not configured is refused': [
      [
        'test/contract/sql/public-functions.test.ts',
        'a participant that is not configured, and names those that are',
      ],
      ['test/unit/cli/runs.test.ts', 'it refuses a participant that is not configured, and starts nothing'],
      ['test/system/key-events/apply.test.ts', 'another participant’s event, and one from the future'],
    ],
    'indirect participants: one installation serves several ISPBs': [
      ['test/system/e2e/verification.test.ts', 'of all configured participants is one run each'],
      ['test/unit/dict/rate-limits.test.ts', "participants don't share"],
    ],
    'keep every CID ever generated': [
      [
        'test/unit/dict/key-base/cid-log.test.ts',
        'soft removal, return, deletion and truncation each log why',
      ],
      ['test/unit/dict/vsync/vsync-model.test.ts', 'every CID is logged once as it leaves'],
    ],
  },
  'the five operations and their limits': {
    'DICT answers OK or NOK only; a NOK counts after three fresh reads': [
      [
        'test/system/e2e/while-keys-change.test.ts',
        'a key that arrives between two reads: OK, and nothing is started',
        'apart in time',
      ],
    ],
    'createCidSetFile and createSyncVerification take no idempotency key': [
      [
        'test/unit/dict/vsync/sync-verification.test.ts',
        'the intent is recorded before DICT is asked, and stays when no answer comes',
      ],
      [
        'test/unit/dict/log/cid-files.test.ts',
        'each CID file is recorded before it is requested, and the given files are counted per round',
      ],
      ['test/adversity/model/model.test.ts', 'whatever happens in whatever order'],
    ],
    'token buckets per participant, refilled by whole periods': [
      ['test/unit/dict/rate-limits.test.ts', 'two workers share the buckets', 'refills by whole periods'],
      ['test/unit/dict/rate-limits-seeding.test.ts', 'they get the tokens that DICT says are left'],
    ],
    'an empty bucket: 429 without Retry-After; 503 carries one': [
      ['test/unit/simulator/limits.test.ts', '429 of an empty bucket has no Retry-After, 503 has one'],
      [
        'test/unit/dict/rate-limits.test.ts',
        'empties the local bucket',
        'waits for one token: 36 minutes, not the day',
        'keeps Retry-After',
        'a 503’s Retry-After',
      ],
    ],
    'file polling: 10 a minute for all five types together': [
      ['test/unit/dict/rate-limits.test.ts', 'stays within 10 in any 60 seconds'],
      ['test/system/e2e/cid-file.test.ts', 'is polled after 1, 2, 4, … seconds'],
    ],
    'files stuck in REQUESTED, in ERROR or UNAVAILABLE': [
      [
        'test/system/e2e/cid-file.test.ts',
        'the run waits 10 minutes, fails, is logged and published, and a retry requests another file',
        'an unusable CID file is refused as a whole, and another is requested',
      ],
    ],
    'AVAILABLE files whose Url gives 404': [
      ['test/system/e2e/cid-file.test.ts', 'it no longer exists (%i) when it is to be downloaded'],
    ],
    'Bytes and Sha256 are checked before any line counts': [
      [
        'test/unit/dict/compare/scan.test.ts',
        'a wrong size or hash is what is reported, whatever the lines are',
      ],
      ['test/system/e2e/cid-file.test.ts', 'wrong Sha256'],
    ],
    'lowercase or uppercase hex, no order': [
      ['test/unit/dict/compare/scan.test.ts', 'any legal spelling of the lines gives the same buckets'],
      ['test/system/e2e/cid-file.test.ts', 'upper case'],
    ],
    'a CID twice in the file': [
      ['test/system/e2e/cid-file.test.ts', 'a CID that is listed twice is warned of and counted once'],
    ],
    'a file of zero CIDs is legal': [
      [
        'test/system/e2e/reconciliation.test.ts',
        'nothing where both sides are empty',
        'a base of which DICT has no key: all are removed, once DICT has said so for each',
      ],
    ],
    'events: both ends inclusive, pages overlap, repeats are dropped': [
      [
        'test/unit/dict/event-log/event-log.test.ts',
        'both ends are inclusive',
        'pages overlap by their last timestamp',
      ],
    ],
    'a whole page, and more than a page, at one timestamp': [
      [
        'test/unit/dict/event-log/event-log.test.ts',
        'a whole page at one timestamp is stepped over',
        'more than a page at one timestamp cannot be read, which is reported: %s',
      ],
    ],
    'SyncVerifierStart is the VSync after the first event, End = Start XOR the others': [
      ['test/unit/dict/event-log/event-log.test.ts', 'a page that does not link up is noticed'],
      ['test/unit/simulator/events.test.ts', 'the log, read page by page'],
    ],
    'events up to 5 s late': [
      [
        'test/unit/dict/event-log/event-log.test.ts',
        'late events are left out while the log does not show them, and the chain still links up',
        'an event that appears behind us, between two pages, is noticed',
      ],
      ['test/unit/dict/repair/removal-evidence.test.ts', 'when the log does not show the change yet'],
      ['test/system/e2e/event-log.test.ts', 'an event was late'],
    ],
    'between confirmClaim and completeClaim the key is in nobody’s set': [
      [
        'test/system/e2e/while-keys-change.test.ts',
        'the donor loses the key: it disappears with confirmClaim, and belongs to nobody until completeClaim',
        'confirmed while a reconciliation runs',
      ],
    ],
    '404 for a listed CID: superseded, the events are read again': [
      ['test/unit/dict/repair/repair-policy.test.ts', 'a CID that DICT no longer has is superseded'],
      ['test/unit/dict/repair/removal-evidence.test.ts', 'is not removed when its DICT half is superseded'],
      [
        'test/system/e2e/rounds.test.ts',
        'the key is neither removed nor forgotten, and the next round asks again',
      ],
    ],
    '403: configuration, not retried': [
      ['test/system/e2e/bridge-failures.test.ts', 'without permission, DICT is not asked about it again'],
    ],
    'a permanent 500 for one CID: quarantined with its correlation id': [
      [
        'test/unit/dict/repair/lookups-resumed.test.ts',
        'on one CID: it is asked for three times and quarantined with DICT’s correlation id, the rest is repaired',
        'on all CIDs: that is an outage, nothing is quarantined, and all is repaired once it is over',
        'on the few that are pending and on every other CID: that is an outage too, however few they are',
        'on all that are pending, but not on others: they are quarantined',
      ],
      [
        'test/system/e2e/while-keys-change.test.ts',
        'with every kind of divergence beside it: all are repaired that can be, and Core-Dict receives what is left',
      ],
    ],
  },
  'who is right, and what is corrected': {
    'in DICT, not local: added exactly as DICT has it, its CID recomputed': [
      [
        'test/unit/dict/repair/repair-policy.test.ts',
        'in DICT, not local: added exactly as DICT has it',
        'an entry with another CID than asked for is quarantined',
      ],
    ],
    'local, not in DICT: removed': [
      ['test/unit/dict/repair/repair-policy.test.ts', 'local, not in DICT: removed softly'],
    ],
    'the exception of §3.3: registered at DICT by a person’s decision, never an EVP': [
      ['test/system/undo/register.test.ts', 'is registered at DICT as it is here', 'for an EVP'],
    ],
    'a key registered again gets a new RequestId, once, on both sides': [
      [
        'test/system/undo/register.test.ts',
        'it is registered again with a new RequestId though DICT had it before, and stays in sync',
      ],
      [
        'test/unit/dict/repair/registration.test.ts',
        'after it kept the RequestId and before it called',
        'after it called and before the answer came',
        'after the answer and before the transaction, however much later it continues',
      ],
      [
        'test/system/connected-tables/reconciliation.test.ts',
        'gets its new RequestId in the bank tables too',
      ],
    ],
    'all five types, at most 36 hours apart': [
      ['test/system/e2e/schedule.test.ts', 'it starts one verification of all types per tick'],
      ['test/system/deadline/deadline.test.ts', 'an OK is good for 36 hours, to the second'],
    ],
    'in both with other values: two divergences, one change': [
      ['test/unit/dict/repair/repair-policy.test.ts', 'corrected, both CIDs decided as one change'],
    ],
    'after correcting, the VSync is computed again from the local base; still NOK means start over': [
      ['test/system/e2e/rounds.test.ts', 'once, for something new in DICT', 'always, though nothing differs'],
    ],
    'a verification computed from DICT’s own events proves nothing about the base': [
      [
        'test/system/e2e/event-log.test.ts',
        'when the replay does not add up',
        'when DICT says NOK to what the replay led to',
      ],
      ['test/system/e2e/kept-vsync.test.ts', 'it is repaired before the first verification sends it'],
    ],
    'nothing is removed that appeared locally, or in DICT’s events, after the snapshot': [
      [
        'test/unit/dict/repair/in-flight.test.ts',
        'a key changed since the snapshot',
        "a CID that DICT's log names",
      ],
      ['test/system/e2e/in-flight.test.ts', 'a key added locally and not at DICT yet is not removed'],
      ['test/adversity/model/model.test.ts', 'whatever happens in whatever order'],
    ],
    'a transaction in progress at the snapshot': [
      [
        'test/unit/dict/event-log/replay-source.test.ts',
        'it has a transaction in progress at the snapshot, whatever the clock said when it wrote',
      ],
      ['test/unit/dict/repair/in-flight.test.ts', 'by a transaction that the snapshot does not see'],
    ],
    'key operations are never blocked': [
      [
        'test/unit/dict/vsync/vsync-concurrency.test.ts',
        'wait neither for each other nor for an open import, nor a fold',
      ],
      ['test/unit/dict/key-base/import.test.ts', 'an import does not wait for a writer of other keys'],
    ],
    'homologation: 1,000 keys, BACEN changing by itself, claims arriving, OK reached': [
      ['test/system/e2e/homologation.test.ts', 'the homologation test'],
    ],
  },
};

for (const [chapter, rules] of Object.entries(COVERED)) {
  describe(chapter, () => {
    test.each(Object.entries(rules))('%s', (_, tests) => {
      for (const [file, ...names] of tests) {
        const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
        expect(names, `which tests of ${file}`).not.toEqual([]);
        // A test's name, or enough of it to be unique.
        for (const name of names) expect(name.length, `"${name}" of ${file}`).toBeGreaterThan(8);
        for (const name of names) expect(text, `${file} has no test "${name}"`).toContain(name);
      }
    });
  });
}
