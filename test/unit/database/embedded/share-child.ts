// A command that uses the shared server of the directory in its argument. It prints the URL when it has it, and ends as
// its input says: 'stop' in order, 'crash' by an uncaught error.
import { shareEmbeddedPostgres } from '../../../../src/database/embedded/embedded-share.ts';

const server = await shareEmbeddedPostgres(process.argv[2]);
process.on('message', (message) => {
  if (message === 'crash') throw new Error('nobody catches this');
  void server.stop().then(() => process.disconnect?.());
});
process.send?.(server.url);
