import { DvError } from '../../errors/dv-error.ts';

const ISPB = /^[0-9]{8}$/;

/** Whether the text is an ISPB: 8 digits, leading zeros counting (DICT API 2.6.1, schema ISPB). */
export function isIspb(value: string): boolean {
  return ISPB.test(value);
}

/** The ISPB as it is, or DV_ISPB_INVALID. */
export function parseIspb(value: string): string {
  if (isIspb(value)) return value;
  throw new DvError(
    'DV_ISPB_INVALID',
    "That is not an ISPB. Give the participant's 8 digits, leading zeros included.",
  );
}
