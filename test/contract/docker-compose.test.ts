import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { createProgram } from '../../src/cli/program.ts';
import { readSettings, SETTING_NAMES } from '../../src/settings.ts';

interface Service {
  image: string;
  command?: string[];
  environment?: Record<string, string>;
  volumes?: string[];
  healthcheck?: { test?: string[]; disable?: boolean };
  depends_on?: Record<string, { condition: string }>;
  restart?: string;
}

const file = fileURLToPath(new URL('../../docker-compose.yml', import.meta.url));
const { services, volumes } = parse(readFileSync(file, 'utf8'), { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const ours = Object.entries(services).filter(([, { image }]) => image === 'dict-vsync');

test('the file has the expected services', () => {
  expect(Object.keys(services).sort()).toEqual(
    ['core-dict', 'import', 'migrate', 'postgres', 'pulsar', 'simulator', 'worker'].sort(),
  );
});

test('every lasting service has a health check, and every dependency can be satisfied', () => {
  for (const [name, service] of Object.entries(services)) {
    const ends = service.healthcheck?.disable === true;
    expect(ends || service.healthcheck?.test?.[0] === 'CMD', name).toBe(true);
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      const awaited = services[other]!;
      const expected =
        awaited.healthcheck?.disable === true ? 'service_completed_successfully' : 'service_healthy';
      expect({ name, other, condition }).toEqual({ name, other, condition: expected });
    }
  }
});

test('every volume is declared, and every declared volume is used', () => {
  const used = Object.values(services).flatMap((service) =>
    (service.volumes ?? []).map((volume) => volume.split(':')[0]),
  );
  expect(new Set(used)).toEqual(new Set(Object.keys(volumes)));
});

test('the program has every command and setting that the file uses', () => {
  const commands = createProgram().commands;
  for (const [name, { command = ['worker'], environment = {} }] of ours) {
    const [asked, ...args] = command;
    const found = commands.find((one) => one.name() === asked);
    expect(found, name).toBeDefined();
    const known = found!.options.map(({ long }) => long);
    for (const flag of args.filter((arg) => arg.startsWith('--')))
      expect(known).toContain(flag.split('=')[0]);
    for (const setting of Object.keys(environment)) expect(SETTING_NAMES).toContain(setting);
    expect(() => readSettings(environment), name).not.toThrow();
  }
});

test('Core-Dict listens where the worker sends', () => {
  const { NOTIFY_URL, NOTIFY_TOPIC } = services['worker']!.environment!;
  expect(services['core-dict']!.environment).toMatchObject({ NOTIFY_URL, NOTIFY_TOPIC });
  expect(services['core-dict']!.healthcheck!.test!.join(' ')).toContain(
    `/admin/v2/${NOTIFY_TOPIC!.replace('://', '/')}/subscriptions`,
  );
});
