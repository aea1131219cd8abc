import type { CatalogueEntry, Section } from './catalogue/section.ts';
import { BRIDGE } from './catalogue/bridge.ts';
import { DATABASE } from './catalogue/database.ts';
import { ENGINE } from './catalogue/engine.ts';
import { KEY_EVENTS } from './catalogue/key-events.ts';
import { NOTIFICATIONS } from './catalogue/notifications.ts';
import { RECONCILIATION } from './catalogue/reconciliation.ts';
import { RUNS } from './catalogue/runs.ts';
import { SETTINGS } from './catalogue/settings.ts';
import { SIMULATOR } from './catalogue/simulator.ts';
import { VALUES } from './catalogue/values.ts';

/**
 * Every error of the program, by section, in the order of docs/reference/errors.md, which is generated from it. It
 * includes errors that only SQL functions raise. A test checks that the catalogue and the sources have the same codes.
 */
export const SECTIONS = [
  SETTINGS,
  KEY_EVENTS,
  DATABASE,
  RUNS,
  ENGINE,
  BRIDGE,
  RECONCILIATION,
  NOTIFICATIONS,
  VALUES,
  SIMULATOR,
] as const satisfies readonly Section[];

const CATALOGUE = {
  ...SETTINGS.errors,
  ...KEY_EVENTS.errors,
  ...DATABASE.errors,
  ...RUNS.errors,
  ...ENGINE.errors,
  ...BRIDGE.errors,
  ...RECONCILIATION.errors,
  ...NOTIFICATIONS.errors,
  ...VALUES.errors,
  ...SIMULATOR.errors,
} as const satisfies Record<string, CatalogueEntry>;

/**
 * A code of the catalogue. Codes are stable: a code never changes its meaning and is never reused for another error.
 */
export type ErrorCode = keyof typeof CATALOGUE;

/** What the catalogue says about a code. */
export function entryOf(code: ErrorCode): CatalogueEntry {
  return CATALOGUE[code];
}

/** Whether this program knows the code. A newer database may raise a code that it does not know. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(CATALOGUE, code);
}

/** The codes of class `not_retryable` after which a new reconciliation may succeed without anybody's help. */
export function passingCodes(): string[] {
  const all: [string, CatalogueEntry][] = Object.entries(CATALOGUE);
  return all.filter(([, { passes }]) => passes === true).map(([code]) => code);
}
