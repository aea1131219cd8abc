import type { Entry } from '../../../../src/dict/entry/entry.ts';

/** The entry of BACEN's CID example (DICT API 2.6.1, tag Reconciliation); its branch breaks BACEN's own schema. */
export const bacenEntry: Entry = {
  participant: '12345678',
  keyType: 'PHONE',
  key: '+5511987654321',
  requestId: '01020304-0506-0708-090a-0b0c0d0e0f10',
  ownerType: 'NATURAL_PERSON',
  taxIdNumber: '11122233300',
  name: 'João Silva',
  tradeName: null,
  branch: '00001',
  accountNumber: '0007654321',
  accountType: 'CACC',
  openingDate: null,
};
