import { type NotifyContent, withoutPersonalData } from './personal-data.ts';

/** A row of the outbox. */
export interface Outboxed {
  id: string;
  participant: string;
  keyType: string;
  sequence: string;
  type: string;
  payload: unknown;
  correlationId: string | null;
  createdAt: Date;
}

/** A message to Core-Dict: CloudEvents 1.0, structured JSON. The names of extensions are lower-case by its rules. */
export interface CloudEvent {
  specversion: '1.0';
  /** With `source` unique, and the same at each delivery. */
  id: string;
  /** `/dict-vsync/<ISPB>` */
  source: string;
  /** `br.dict-vsync.<message type>.v<version>` */
  type: string;
  /** `<ISPB>/<key type or ALL>`: the stream, in which `sequence` rises. */
  subject: string;
  time: string;
  datacontenttype: 'application/json';
  /** Ends in the name of the file in docs/reference/messages/schemas. */
  dataschema: string;
  /** CloudEvents' extension "sequence": 19 digits, so that it also sorts as text. */
  sequence: string;
  /** The run's, as in logs and in the calls to DICT; absent for what no run caused. */
  correlationid?: string | undefined;
  /** Whether `data` holds personal data. */
  personaldata: boolean;
  data: unknown;
}

/** Of all message types: a change that a reader of the old one would not understand is a new version. */
const VERSION = 'v1';

/** The one place where envelopes are made: the CloudEvent of a row of the outbox. */
export function cloudEvent(row: Outboxed, content: NotifyContent): CloudEvent {
  const without = withoutPersonalData(row.type, row.payload);
  const full = content === 'full';
  return {
    specversion: '1.0',
    id: row.id,
    source: `/dict-vsync/${row.participant}`,
    type: `br.dict-vsync.${row.type}.${VERSION}`,
    subject: `${row.participant}/${row.keyType}`,
    time: row.createdAt.toISOString(),
    datacontenttype: 'application/json',
    dataschema: `urn:dict-vsync:schemas:${row.type}.${VERSION}.json`,
    sequence: row.sequence.padStart(19, '0'),
    correlationid: row.correlationId ?? undefined,
    personaldata: full && without.personal,
    data: full ? row.payload : without.content,
  };
}
