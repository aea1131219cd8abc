import type { Command } from 'commander';
import { z } from 'zod';
import { readSettings } from '../../settings.ts';
import { DvError } from '../../errors/dv-error.ts';
import { printAnswer } from '../output/print.ts';
import { labelled } from '../output/warning-line.ts';
import { command } from '../command-options.ts';

/** The worker needs at most 2 s to answer. */
const REQUEST_TIMEOUT_MS = 4000;

/** The answer of /readyz, of any version of the worker. */
const readinessSchema = z.object({
  ready: z.boolean(),
  reasons: z.array(z.object({ reason: z.string(), message: z.string() })),
  warnings: z
    .array(
      z.object({
        warning: z.string(),
        participant: z.string().optional(),
        keyType: z.string().optional(),
        message: z.string(),
      }),
    )
    .default([]),
});

type Readiness = z.output<typeof readinessSchema>;

/** `dict-vsync health`: whether the worker on this host or in this container is ready. Works without curl. */
export function health(): Command {
  return command(
    'health',
    'Checks whether the worker on this host is ready, at HTTP_HOST and HTTP_PORT. Exits with 1 if it is not.',
    ['health', 'HTTP_PORT=9464 dict-vsync health --json'],
  ).action(async (options: { json?: boolean }) => {
    const { HTTP_HOST: host, HTTP_PORT: port } = readSettings(process.env);
    if (port === 0) {
      throw new DvError(
        'DV_USAGE',
        'With HTTP_PORT 0 the worker uses any free port. Set HTTP_PORT to the port that it uses.',
      );
    }
    const readiness = await ask(readyUrl(host, port));
    printAnswer(options, readiness, () => describe(readiness));
    process.exitCode = readiness.ready ? 0 : 1;
  });
}

/** An address that means "all interfaces" cannot be called. The loopback address is used instead. */
function readyUrl(host: string, port: number): string {
  const callable = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  return `http://${callable.includes(':') ? `[${callable}]` : callable}:${port}/readyz`;
}

async function ask(url: string): Promise<Readiness> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
    return readinessSchema.parse(await response.json());
  } catch {
    return {
      ready: false,
      reasons: [{ reason: 'no_answer', message: `No worker answers at ${url}.` }],
      warnings: [],
    };
  }
}

function describe({ ready, reasons, warnings }: Readiness): string {
  return [
    ready ? 'Ready.' : 'Not ready:',
    ...reasons.map(({ message }) => `- ${message}`),
    ...warnings.map((warning) => {
      if (warning.warning === 'runs_poisoned') return warning.message;
      const { participant = '', keyType = '', message } = warning;
      return labelled(warning.warning, participant, keyType, message);
    }),
  ].join('\n');
}
