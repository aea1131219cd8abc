import type { CidSetFile } from '../../bridge/index.ts';
import type { ErrorCode } from '../../errors/dv-error.ts';
import { one } from '../../errors/rows.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';

/**
 * Records that a CID file is about to be requested. Returns the row's id and how many files this round has already
 * received.
 */
export async function intendCidFile(
  db: Db,
  runId: string,
  round: number,
): Promise<{ id: string; given: number }> {
  const { rows } = await db.query<{ id: string; given: number }>(
    `insert into dict.cid_files (run_id, round, asked_at) values ($1, $2, workflow.now())
     returning id, (select count(*)::integer from dict.cid_files f
                    where f.run_id = $1 and f.round = $2 and f.dict_id is not null) as given`,
    [runId, round],
  );
  return one(rows);
}

/** Removes an intent whose call was not made. One that stays without an answer means a crash during the call. */
export async function withdrawIntent(db: Db, id: string): Promise<void> {
  await db.query('delete from dict.cid_files where id = $1 and dict_id is null', [id]);
}

/** Records DICT's answer about a CID file. */
export async function noteCidFile(
  db: Db,
  id: string,
  file: {
    id: string;
    status: string;
    bytes?: number | undefined;
    sha256?: string | undefined;
    creationTime?: string | undefined;
  },
): Promise<void> {
  await db.query(
    `update dict.cid_files set dict_id = $2, status = $3, bytes = $4, sha256 = $5, creation_time = $6 where id = $1`,
    [id, file.id, file.status, file.bytes ?? null, file.sha256 ?? null, file.creationTime ?? null],
  );
}

/** Records why a CID file was refused. It is not used again. */
export async function refuseCidFile(db: Db, id: string, code: ErrorCode): Promise<void> {
  await db.query('update dict.cid_files set refused_code = $2 where id = $1', [id, code]);
}

/** Why the files that a round asked for were not used: error codes, or the statuses that DICT gave them. */
export async function whyUnusable(db: Db, runId: string, round: number): Promise<string> {
  const { rows } = await db.query<{ why: string | null }>(
    `select string_agg(distinct coalesce(refused_code, status), ', ') as why from dict.cid_files
     where run_id = $1 and round = $2 and dict_id is not null`,
    [runId, round],
  );
  return one(rows).why ?? '';
}

/**
 * Makes a file the one that a round compares with. The round takes over the snapshot of the round that asked for the
 * file, because a file shows the keys as they were after that snapshot, but perhaps before the round's own one: judged
 * by its own snapshot, a change between the file and the snapshot would count as a divergence and be reverted.
 */
export async function useCidFile(tx: Db, runId: string, round: number, file: string): Promise<void> {
  await tx.query(
    `update dict.rounds r set file_id = f.id,
       snapshot = a.snapshot, snapshot_at = a.snapshot_at, margin_starts_at = a.margin_starts_at
     from dict.cid_files f join dict.rounds a using (run_id, round)
     where f.id = $3 and r.run_id = $1 and r.round = $2`,
    [runId, round, file],
  );
}

/**
 * Lets a round count more as changed since its snapshot if DICT made its file before it was asked for, as if it were
 * an old one: by the time between, which DICT's own clock measured. Returns that time in milliseconds, at least 0.
 */
export async function considerFileAge(
  tx: Db,
  runId: string,
  round: number,
  { requestTime, creationTime }: Extract<CidSetFile, { status: 'AVAILABLE' }>,
  marginSeconds: number,
): Promise<void> {
  const ms = fileAgeMs({ requestTime, creationTime });
  if (ms === 0) return;
  await tx.query(
    `update dict.rounds set margin_starts_at =
       least(margin_starts_at, snapshot_at - $3 * interval '1 second' - $4 * interval '1 millisecond')
     where run_id = $1 and round = $2`,
    [runId, round, marginSeconds, ms],
  );
}

/** How long before its request a file was made, by DICT's clock, in milliseconds; 0 if it was made after it. */
export function fileAgeMs(file: { requestTime: string; creationTime: string }): number {
  return Math.max(0, Date.parse(file.requestTime) - Date.parse(file.creationTime));
}

/** A CID file that an earlier round asked for and that nothing was compared with. */
export interface EarlierCidFile {
  row: string;
  /** DICT's id. */
  id: string;
  askedAt: Date;
  /** Whether it was asked for so recently that it is worth waiting for while DICT makes it. */
  recent: boolean;
}

/** Rounds that may use an AVAILABLE file. A download that fails each time must not block the runs of a night. */
const TRIES = 3;

/** The newest ones are looked at; each look costs a token of getCidSetFile (10 a minute). */
const LOOKS = 3;

/** Minutes after which a file that DICT is still making counts as stuck. */
const WORTH_WAITING_MINUTES = 60;

/**
 * The CID files of a participant and key type that may still be used, newest first: asked for within `maxHours`, not
 * refused, not compared with, and newer than the last OK and than the newest file that was compared with.
 */
export async function earlierCidFiles(
  db: Db,
  participant: string,
  keyType: KeyType,
  maxHours: number,
): Promise<EarlierCidFile[]> {
  const { rows } = await db.query<EarlierCidFile>(
    `with asked as (
       select f.*, count(r.*) as tries, count(r.compared_at) > 0 as used
       from dict.cid_files f
       join dict.reconciliations n using (run_id)
       left join dict.rounds r on r.file_id = f.id
       where n.participant = $1 and n.key_type = $2 and f.asked_at > workflow.now() - $3 * interval '1 hour'
       group by f.id)
     select id as row, dict_id as id, asked_at as "askedAt",
       asked_at > workflow.now() - $4 * interval '1 minute' as recent
     from asked f
     where dict_id is not null and refused_code is null and status not in ('ERROR', 'UNAVAILABLE') and not used
       and (status <> 'AVAILABLE' or tries < $5)
       and asked_at > all (select asked_at from asked where used)
       and not exists (
         select from dict.sync_verifications v
         where v.participant = $1 and v.key_type = $2 and v.result = 'OK' and v.answered_at > f.asked_at)
     order by asked_at desc limit $6`,
    [participant, keyType, maxHours, WORTH_WAITING_MINUTES, TRIES, LOOKS],
  );
  return rows;
}

/** A line of the file with CRLF: 64 hexadecimal digits and two bytes. */
const LINE_BYTES = 66;

/** How many times larger than the known keys a file may be. */
const FACTOR = 4;

/**
 * The size up to which a file is believed: `allowed`, or four times what all keys need that are known locally and that
 * DICT's last file contained. So a first load into an empty base works, and no mistake in an answer fills the disk.
 */
export async function largestFile(
  db: Db,
  participant: string,
  keyType: KeyType,
  allowed: number,
): Promise<number> {
  const { rows } = await db.query<{ bytes: number }>(
    `select greatest($3, (v.entries + coalesce(last.file_cids, 0)) * $4::float8) as bytes
     from dict.vsync($1, $2) v
     left join lateral (
       select r.file_cids from dict.reconciliations n join dict.rounds r using (run_id)
       where n.participant = $1 and n.key_type = $2 and r.file_cids is not null
       order by r.compared_at desc limit 1) last on true`,
    [participant, keyType, allowed, LINE_BYTES * FACTOR],
  );
  return one(rows).bytes;
}
