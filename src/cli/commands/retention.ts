import type { Command } from 'commander';
import { countExpired, removeExpired } from '../../dict/log/retention.ts';
import { printAnswer } from '../output/print.ts';
import { command, type CommonOptions } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { fields, formatCount } from '../output/format.ts';
import { retentionAges } from '../../service/service.ts';

interface RetentionOptions extends CommonOptions {
  dryRun?: boolean;
}

/** `dict-vsync retention`: removes, or only counts, what is older than its retention. */
export function retention(): Command {
  return command(
    'retention',
    'Removes now what is older than RETENTION_RUN_DAYS and RETENTION_AUDIT_DAYS. The worker also does this continuously.',
    ['retention --dry-run', 'retention --json'],
  )
    .option('--dry-run', 'only show what would be removed')
    .action(async ({ dryRun = false, ...options }: RetentionOptions) => {
      await withDatabase({}, async ({ pool, settings }) => {
        const ages = retentionAges(settings);
        const expired = await countExpired(pool, ages);
        const removed = dryRun ? 0 : await removeExpired(pool, ages);
        printAnswer(options, { ...ages, expired, removed }, () =>
          fields([
            ['closed runs', formatCount(expired.runs)],
            ['reconciliations', formatCount(expired.reconciliations)],
            ['divergences', formatCount(expired.divergences)],
            ['VSyncs sent', formatCount(expired.syncVerifications)],
            ['verifications', formatCount(expired.verifications)],
            ['', dryRun ? 'would be removed' : 'removed'],
          ]),
        );
      });
    });
}
