import { readAsset } from '../assets.ts';

/** The program's version, from package.json. */
export const VERSION = (JSON.parse(readAsset('package.json')) as { version: string }).version;
