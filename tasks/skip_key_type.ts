import { activity, type VerificationContext } from '../src/workflows/activity-types.ts';

/** Puts the key type that could not be verified aside, so that the others go on. */
export default activity<'again' | 'done'>(async ({ run, log }) => {
  const { todo, skipped, results } = run.context as unknown as VerificationContext;
  const [keyType, ...rest] = todo;
  if (keyType === undefined) return { outcome: 'done' };
  log.warn({ keyType, code: run.error?.code }, 'key type could not be verified');
  return {
    outcome: rest.length > 0 ? 'again' : 'done',
    context: {
      todo: rest,
      skipped: [...skipped, keyType],
      results: { ...results, [keyType]: { result: 'ERROR', code: run.error?.code } },
    },
  };
});
