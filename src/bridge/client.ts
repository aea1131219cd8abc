import { isIP } from 'node:net';
import { Client, Metadata, credentials } from '@grpc/grpc-js';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { DvError } from '../errors/dv-error.ts';
import {
  readCidSetEvents,
  readCidSetFile,
  readEntryByCid,
  readPolicies,
  readRegisteredEntry,
  readSyncVerification,
} from './answers.ts';
import type { Bridge, CallOptions } from './bridge.ts';
import type { BridgeMethod } from './contract.ts';
import { CORRELATION_ID, bridgeContract, readBridgeProto } from './contract.ts';
import { downloadStream } from './download.ts';
import { bridgeError, cancelled } from './errors.ts';

export interface BridgeOptions {
  /** `host:port`. */
  address: string;
  /** The connection is encrypted if this is given. All are PEM; cert and key together make TLS mutual. */
  tls?:
    | {
        /** Certificate authorities to trust. Default: those of the system. */
        ca?: Buffer | undefined;
        cert?: Buffer | undefined;
        key?: Buffer | undefined;
        /** The name expected in the Bridge's certificate, if it is not the address's host; needed for an IP address. */
        serverName?: string | undefined;
      }
    | undefined;
  /** Default time limit in milliseconds: for a call, and for a download between two chunks. Default 30,000. */
  timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * The Bridge over gRPC (proto/bridge.proto). It connects at the first call and reconnects by itself. Throws
 * DV_BRIDGE_TLS_INVALID if the TLS files cannot be used; src/bridge/errors.ts has the errors of the calls.
 */
export function connectBridge(options: BridgeOptions): Bridge {
  const contract = bridgeContract(readBridgeProto());
  const defaultTimeout = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const client = new Client(options.address, channelCredentials(options), {
    ...(options.tls?.serverName !== undefined && {
      'grpc.ssl_target_name_override': options.tls.serverName,
      'grpc.default_authority': options.tls.serverName,
    }),
    // The engine has its own delays between retries. gRPC's default (up to 2 minutes) would delay calls to a Bridge
    // that is reachable again.
    'grpc.initial_reconnect_backoff_ms': 200,
    'grpc.max_reconnect_backoff_ms': 2_000,
  });

  const closed = new AbortController();

  function unary(name: BridgeMethod, request: object, options: CallOptions): Promise<object> {
    const method = contract[name];
    const signal = endOf(options);
    return new Promise((resolve, reject) => {
      if (signal.aborted) throw cancelled(name);
      const deadline = Date.now() + (options.timeoutMs ?? defaultTimeout);
      const call = client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadata(options),
        { deadline },
        (error, answer) => {
          signal.removeEventListener('abort', cancel);
          if (error !== null) reject(bridgeError(name, error));
          else resolve(answer ?? {});
        },
      );
      const cancel = () => call.cancel();
      signal.addEventListener('abort', cancel);
    });
  }

  /** Aborts when the caller's signal aborts, and when the client is closed. */
  function endOf({ signal }: CallOptions): AbortSignal {
    return signal === undefined ? closed.signal : AbortSignal.any([closed.signal, signal]);
  }

  return {
    async createSyncVerification(request, call) {
      const { participant, keyType } = request;
      return readSyncVerification(await unary('CreateSyncVerification', request, call), {
        participant,
        keyType,
      });
    },
    async createCidSetFile({ participant, keyType }, call) {
      const asked = { participant, keyType };
      return readCidSetFile('CreateCidSetFile', await unary('CreateCidSetFile', asked, call), asked);
    },
    async getCidSetFile({ participant, id }, call) {
      const asked = { participant, id };
      return readCidSetFile('GetCidSetFile', await unary('GetCidSetFile', asked, call), asked);
    },
    downloadCidSetFile(request, call) {
      const method = contract.DownloadCidSetFile;
      return downloadStream(
        () =>
          client.makeServerStreamRequest(
            method.path,
            method.requestSerialize,
            method.responseDeserialize,
            request,
            metadata(call),
          ),
        { idleMs: call.timeoutMs ?? defaultTimeout, signal: endOf(call) },
      );
    },
    async listCidSetEvents(request, call) {
      const { participant, keyType } = request;
      return readCidSetEvents(await unary('ListCidSetEvents', request, call), { participant, keyType });
    },
    async getEntryByCid(request, call) {
      return readEntryByCid(await unary('GetEntryByCid', request, call), request);
    },
    async createEntry(request, call) {
      return readRegisteredEntry(await unary('CreateEntry', request, call), request.entry);
    },
    async listPolicies(request, call) {
      return readPolicies(await unary('ListPolicies', request, call));
    },
    close() {
      closed.abort();
      client.close();
    },
  };
}

function metadata(call: CallOptions): Metadata {
  const values = new Metadata();
  values.set(CORRELATION_ID, call.correlationId);
  return values;
}

function channelCredentials({ address, tls }: BridgeOptions): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  // Node refuses an IP address as TLS server name, and gRPC sends one unless it has another name.
  if (tls.serverName === undefined && isIP(address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')) !== 0) {
    throw new DvError(
      'DV_BRIDGE_TLS_INVALID',
      "TLS needs the Bridge's name, but its address is an IP address. Give the host name as the address, or the name in its certificate as server name.",
    );
  }
  try {
    return credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null);
  } catch (cause) {
    throw new DvError(
      'DV_BRIDGE_TLS_INVALID',
      "The Bridge's TLS files cannot be used. Give PEM files, and give certificate and private key together or neither of them.",
      { cause },
    );
  }
}
