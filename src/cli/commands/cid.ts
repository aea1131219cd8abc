import { type Command, Option } from 'commander';
import { once } from 'node:events';
import { type CidInput, computeCid } from '../../dict/entry/cid.ts';
import { readCidInputCsv } from '../../dict/key-base/csv.ts';
import { parseIspb } from '../../dict/entry/ispb.ts';
import { isKeyType } from '../../dict/entry/key-type.ts';
import { requestIdBytes } from '../../dict/entry/uuid.ts';
import { DvError } from '../../errors/dv-error.ts';
import { printAnswer, printNote } from '../output/print.ts';
import { asUsage, command, type CommonOptions } from '../command-options.ts';

interface CidOptions extends CommonOptions {
  requestId?: string;
  keyType?: string;
  key?: string;
  taxId?: string;
  name?: string;
  tradeName?: string;
  participant?: string;
  branch?: string;
  account?: string;
  accountType?: string;
}

const REQUIRED = {
  requestId: '--request-id',
  keyType: '--key-type',
  key: '--key',
  taxId: '--tax-id',
  name: '--name',
  participant: '--participant',
  account: '--account',
  accountType: '--account-type',
} as const;

/** `dict-vsync cid`: computes CIDs by BACEN's rule, from flags or from a CSV on stdin. */
export function cid(): Command {
  return command(
    'cid',
    'Computes the CID of an entry given by flags, or of each line of a CSV on stdin with columns of the same names (request_id, key_type, …). Values are used exactly as given, byte by byte.',
    [
      "cid --request-id 01020304-0506-0708-090a-0b0c0d0e0f10 --key-type PHONE --key +5511987654321 --tax-id 11122233300 --name 'João Silva' --participant 12345678 --branch 00001 --account 0007654321 --account-type CACC",
      'cid --json < entries.csv',
    ],
  )
    .addOption(
      new Option('--request-id <UUID>', 'RequestId with which the entry was created at DICT').argParser(
        asUsage(uuid),
      ),
    )
    .option('--key-type <T>', 'CPF, CNPJ, PHONE, EMAIL, EVP')
    .option('--key <KEY>', 'the key as registered')
    .option('--tax-id <TAX_ID>', "the owner's CPF or CNPJ (letters in upper case)")
    .option('--name <NAME>', "the owner's name as registered")
    .option('--trade-name <NAME>', 'as registered; leave out if the owner has no trade name')
    .addOption(new Option('--participant <ISPB>', 'the participant, 8 digits').argParser(asUsage(parseIspb)))
    .option('--branch <DIGITS>', 'with leading zeros; leave out if the account has no branch')
    .option('--account <DIGITS>', 'with leading zeros')
    .option('--account-type <T>', 'CACC, TRAN, SLRY or SVGS')
    .action(async ({ json, ...flags }: CidOptions) => {
      if (Object.keys(flags).length > 0) {
        const hex = computeCid(inputOf(flags)).toString('hex');
        printAnswer({ json }, { cid: hex }, () => hex);
        return;
      }
      if (process.stdin.isTTY) {
        throw new DvError(
          'DV_USAGE',
          'Give the entry by flags, or a CSV on stdin. See `dict-vsync cid --help`.',
        );
      }
      await (json === true ? answerJson() : printLines());
    });
}

function uuid(value: string): string {
  requestIdBytes(value);
  return value;
}

function inputOf(flags: CidOptions): CidInput {
  const missing: string[] = [];
  const need = (field: keyof typeof REQUIRED): string => {
    const value = flags[field];
    if (value === undefined) missing.push(REQUIRED[field]);
    return value ?? '';
  };
  const input: CidInput = {
    requestId: need('requestId'),
    keyType: need('keyType'),
    key: need('key'),
    taxIdNumber: need('taxId'),
    name: need('name'),
    tradeName: flags.tradeName ?? null,
    participant: need('participant'),
    branch: flags.branch ?? null,
    accountNumber: need('account'),
    accountType: need('accountType'),
  };
  if (missing.length > 0) throw new DvError('DV_USAGE', `To compute a CID, also give ${missing.join(', ')}.`);
  if (!isKeyType(input.keyType)) {
    printNote('Note: BACEN does not have this key type now. The CID is computed anyway.');
  }
  return input;
}

async function* cidsOfStdin(): AsyncGenerator<{ line: number; cid: string }, void, undefined> {
  for await (const { line, entry } of readCidInputCsv(process.stdin)) {
    yield { line, cid: computeCid(entry).toString('hex') };
  }
}

/** One JSON document must be complete or an error, so all CIDs are kept in memory. */
async function answerJson(): Promise<void> {
  const cids: { line: number; cid: string }[] = [];
  for await (const item of cidsOfStdin()) cids.push(item);
  printAnswer({ json: true }, { cids }, () => '');
}

async function printLines(): Promise<void> {
  for await (const { cid: hex } of cidsOfStdin()) {
    if (!process.stdout.write(`${hex}\n`)) await once(process.stdout, 'drain');
  }
}
