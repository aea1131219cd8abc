import { verificationActivity } from '../src/workflows/define-activity.ts';

/** Skips the key type that could not be verified, so that the others continue. */
export default verificationActivity<'again' | 'done'>(async ({ run, context, log }) => {
  const { todo, skipped, results } = context;
  const [keyType, ...rest] = todo;
  if (keyType === undefined) return { outcome: 'done' };
  log.warn({ keyType, code: run.error?.code }, 'the key type could not be verified');
  return {
    outcome: rest.length > 0 ? 'again' : 'done',
    context: {
      todo: rest,
      skipped: [...skipped, keyType],
      results: { ...results, [keyType]: { result: 'ERROR', code: run.error?.code } },
    },
  };
});
