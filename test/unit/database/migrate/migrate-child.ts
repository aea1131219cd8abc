// A process that migrates the database of its argument and prints what it applied.
import { migrate } from '../../../../src/database/migrate/migrate.ts';

const { applied } = await migrate(process.argv[2] ?? '');
process.stdout.write(JSON.stringify(applied));
