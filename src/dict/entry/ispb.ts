import { DvError } from '../../errors/dv-error.ts';

const ISPB = /^[0-9]{8}$/;

/** Whether the text is an ISPB: 8 digits with leading zeros (DICT API 2.6.1, schema ISPB). */
export function isIspb(value: string): boolean {
  return ISPB.test(value);
}

/** The ISPB unchanged, or DV_ISPB_INVALID. */
export function parseIspb(value: string): string {
  if (isIspb(value)) return value;
  throw new DvError(
    'DV_ISPB_INVALID',
    "This is not an ISPB. Give the participant's 8 digits with leading zeros.",
  );
}
