import { once } from 'node:events';
import { Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import {
  CORRELATION_ID,
  GRPC_STATUS_OF_HTTP,
  PROBLEM_TYPE,
  RETRY_AFTER,
  bridgeContract,
  readBridgeProto,
} from '../bridge/contract.ts';
import type { Entry } from '../dict/entry/entry.ts';
import { DvError } from '../errors/dv-error.ts';
import { SimulatedDict } from './dict.ts';
import type { Download, SimulatedDictOptions } from './dict.ts';
import type { Answer } from './faults.ts';
import type { Caller } from './gate.ts';
import { DictProblem } from './problem.ts';

export interface FaceOptions {
  /** Default 0: any free port. */
  port?: number;
  /** Default 127.0.0.1. */
  host?: string;
  /** PEM. With `ca`, callers must present a certificate of this CA. */
  tls?: { cert: Buffer; key: Buffer; ca?: Buffer };
}

export interface SimulatorFace {
  /** `host:port`. */
  address: string;
  /** Ends every running call and frees the port. */
  stop(): Promise<void>;
}

const CHUNK_BYTES = 64 * 1024;

/**
 * Starts the simulator with its gRPC server: a DICT behind a Bridge. Throws DV_SIMULATOR_LISTEN if the port cannot be
 * used.
 */
export async function startSimulator(
  options: SimulatedDictOptions & FaceOptions = {},
): Promise<SimulatorFace & { dict: SimulatedDict }> {
  const dict = new SimulatedDict(options);
  return { ...(await serveBridge(dict, options)), dict };
}

/** Serves a simulated DICT as the gRPC service DictBridge. It can be stopped and served again. */
export async function serveBridge(dict: SimulatedDict, options: FaceOptions = {}): Promise<SimulatorFace> {
  const { host = '127.0.0.1', port = 0 } = options;
  const server = new Server();
  const stopping = new AbortController();
  server.addService(bridgeContract(readBridgeProto()), {
    CreateSyncVerification: unary(dict.createSyncVerification.bind(dict), stopping.signal),
    CreateCidSetFile: unary(dict.createCidSetFile.bind(dict), stopping.signal),
    GetCidSetFile: unary(dict.getCidSetFile.bind(dict), stopping.signal),
    ListCidSetEvents: unary(dict.listCidSetEvents.bind(dict), stopping.signal),
    GetEntryByCid: unary(dict.getEntryByCid.bind(dict), stopping.signal),
    CreateEntry: unary(
      ({ entry, reason }: EntryRequest, caller) =>
        dict.createEntry({ entry: entryOf(entry), reason }, caller),
      stopping.signal,
    ),
    ListPolicies: unary(dict.listPolicies.bind(dict), stopping.signal),
    DownloadCidSetFile: download(dict, stopping.signal),
  });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, serverCredentials(options), (cause, actual) => {
      if (cause === null) resolve(actual);
      else
        reject(
          new DvError(
            'DV_SIMULATOR_LISTEN',
            `The simulator cannot listen on ${host}:${port}. Choose another port.`,
          ),
        );
    });
  });
  return {
    address: `${host}:${bound}`,
    stop() {
      stopping.abort();
      server.forceShutdown();
      return Promise.resolve();
    },
  };
}

function serverCredentials({ tls }: FaceOptions): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const pair = { private_key: tls.key, cert_chain: tls.cert };
  return ServerCredentials.createSsl(tls.ca ?? null, [pair], tls.ca !== undefined);
}

interface AnyCall {
  metadata: Metadata;
  on(event: 'cancelled', listener: () => void): unknown;
}

function callerOf(call: AnyCall, stopping: AbortSignal): Caller & { signal: AbortSignal } {
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  const correlationId = String(call.metadata.get(CORRELATION_ID)[0] ?? '');
  return { correlationId, signal: AbortSignal.any([gone.signal, stopping]) };
}

function unary<T>(operation: (request: T, caller: Caller) => Promise<Answer>, stopping: AbortSignal) {
  return (call: ServerUnaryCall<T, Answer>, respond: sendUnaryData<Answer>) => {
    const caller = callerOf(call, stopping);
    const answering = async () => operation(call.request, caller);
    answering().then(
      (answer) => respond(null, answer, trailers(answer['correlationId'] as string)),
      (error: unknown) => respond(grpcError(error)),
    );
  };
}

function download(dict: SimulatedDict, stopping: AbortSignal) {
  return (
    call: ServerWritableStream<Parameters<SimulatedDict['downloadCidSetFile']>[0], { data: Buffer }>,
  ) => {
    const caller = callerOf(call, stopping);
    dict
      .downloadCidSetFile(call.request, caller)
      .then((file) => send(file, call, caller.signal))
      .catch((error: unknown) => call.emit('error', grpcError(error)));
  };
}

/** Writes the rest of the file in chunks, as fast as the caller reads, up to the point where it must fail. */
async function send(
  { content, failure, correlationId }: Download,
  call: ServerWritableStream<unknown, { data: Buffer }>,
  signal: AbortSignal,
): Promise<void> {
  const end = Math.min(content.length, failure?.afterBytes ?? content.length);
  for (let at = 0; at < end; at += CHUNK_BYTES) {
    const data = content.subarray(at, Math.min(at + CHUNK_BYTES, end));
    if (!call.write({ data })) await once(call, 'drain', { signal });
  }
  if (failure?.kind === 'download_stall') await once(signal, 'abort');
  if (failure === undefined) call.end(trailers(correlationId));
  else throw Object.assign(new DictProblem(503, 'The download was interrupted'), { correlationId });
}

interface EntryRequest {
  entry: MessageEntry | null;
  reason: string;
}

type MessageEntry = Omit<Entry, 'tradeName' | 'branch' | 'openingDate'> &
  Partial<Pick<Entry, 'tradeName' | 'branch' | 'openingDate'>>;

/** Absent `optional` fields are null in an Entry. */
function entryOf(message: MessageEntry | null): Entry {
  if (message === null) throw new DictProblem(400, 'Entry is missing');
  const { tradeName = null, branch = null, openingDate = null } = message;
  return { ...message, tradeName, branch, openingDate };
}

function trailers(correlationId: string): Metadata {
  const metadata = new Metadata();
  metadata.set(CORRELATION_ID, correlationId);
  return metadata;
}

/** Converts the problem by the table at the top of proto/bridge.proto. */
function grpcError(error: unknown): { code: number; details: string; metadata: Metadata } {
  const problem = error instanceof DictProblem ? error : new DictProblem(500, 'Unexpected condition');
  const metadata = trailers(problem.correlationId);
  metadata.set(PROBLEM_TYPE, problem.type);
  if (problem.retryAfterSec !== undefined) metadata.set(RETRY_AFTER, String(problem.retryAfterSec));
  return { code: GRPC_STATUS_OF_HTTP[problem.status], details: problem.message, metadata };
}
