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

/** A message to Core-Dict: CloudEvents 1.0, structured JSON. CloudEvents requires lower-case names of extensions. */
export interface CloudEvent {
  specversion: '1.0';
  /** Unique together with `source`, and the same at each delivery. */
  id: string;
  /** `/dict-vsync/<ISPB>` */
  source: string;
  /** `br.dict-vsync.<message type>.v<version>` */
  type: string;
  /** `<ISPB>/<key type or ALL>`: the stream. `sequence` rises within it. */
  subject: string;
  time: string;
  datacontenttype: 'application/json';
  /** Ends with the name of the file in docs/reference/messages/schemas. */
  dataschema: string;
  /** CloudEvents' extension "sequence": 19 digits, so that it also sorts as text. */
  sequence: string;
  /** The run's correlation id, as in logs and in calls to DICT. Absent if no run caused the message. */
  correlationid?: string | undefined;
  /** Whether `data` contains personal data. */
  personaldata: boolean;
  data: unknown;
}

/** Version of all message types. A change that a reader of the old version would not understand needs a new version. */
const VERSION = 'v1';

/** Makes the CloudEvent of a row of the outbox. Envelopes are made only here. */
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
