import { verificationActivity } from '../src/workflows/define-activity.ts';
import type { KeyType } from '../src/dict/entry/key-type.ts';
import { reconciliationKeys } from '../src/dict/log/workflow-keys.ts';
import { filesToSpare } from '../src/dict/rate-limits/rate-limits.ts';

/**
 * Starts a reconciliation for each key type that is NOK. They continue after the verification has ended (ABANDON). When
 * a person retries the run, those that it has already started are not started again. After a reconciliation has failed,
 * an automatic retry starts another one only while DICT's CID files suffice for the next tick too.
 */
export default verificationActivity<'spawned'>(async ({ input, context, log }, { pool }) => {
  const { participant, keyTypes, reason, sparing = [] } = input;
  const { results, spawned = [] } = context;
  const nok = keyTypes.filter((keyType) => results[keyType]?.result === 'NOK' && !spawned.includes(keyType));
  const first = nok.filter((keyType) => !sparing.includes(keyType));
  const again = nok.filter((keyType) => sparing.includes(keyType));
  const affordable =
    again.length === 0 ? 0 : Math.max(0, (await filesToSpare(pool, participant)) - first.length);
  const postponed: KeyType[] = again.slice(affordable);
  if (postponed.length > 0) log.warn({ postponed }, 'a reconciliation is postponed: CID files are short');
  const started = nok.filter((keyType) => !postponed.includes(keyType));
  const keys = await reconciliationKeys(pool, participant, started);
  return {
    outcome: 'spawned',
    context: { spawned: [...spawned, ...started] },
    ...(postponed.length > 0 && { detail: { postponed } }),
    children: keys.map(({ keyType, key }) => ({
      machine: 'reconciliation',
      key,
      input: reason === undefined ? { participant, keyType } : { participant, keyType, reason },
      policy: 'ABANDON',
    })),
  };
});
