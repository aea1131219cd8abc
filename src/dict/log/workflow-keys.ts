import { one } from '../../errors/rows.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** The workflow key of the verifications of a participant and a set of key types (dict.verification_key). */
export async function verificationKey(
  db: Db,
  participant: string,
  keyTypes: readonly KeyType[],
): Promise<string> {
  const { rows } = await db.query<{ key: string }>('select dict.verification_key($1, $2) as key', [
    participant,
    keyTypes,
  ]);
  return one(rows).key;
}

/** The workflow keys of the reconciliations of a participant, in the order of the key types (dict.reconciliation_key). */
export async function reconciliationKeys<K extends KeyType>(
  db: Db,
  participant: string,
  keyTypes: readonly K[],
): Promise<{ keyType: K; key: string }[]> {
  const { rows } = await db.query<{ keyType: K; key: string }>(
    `select t as "keyType", dict.reconciliation_key($1, t) as key
     from unnest($2::text[]) with ordinality as x (t, place) order by place`,
    [participant, keyTypes],
  );
  return rows;
}
