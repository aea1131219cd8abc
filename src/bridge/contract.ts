import { fromJSON } from '@grpc/proto-loader';
import { status } from '@grpc/grpc-js';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { readAsset } from '../assets.ts';

/** The operations of service DictBridge, by their name in proto/bridge.proto. */
export const BRIDGE_METHODS = [
  'CreateSyncVerification',
  'CreateCidSetFile',
  'GetCidSetFile',
  'DownloadCidSetFile',
  'ListCidSetEvents',
  'GetEntryByCid',
  'CreateEntry',
  'ListPolicies',
] as const;

export type BridgeMethod = (typeof BRIDGE_METHODS)[number];

/** gRPC metadata and trailers of the contract; proto/bridge.proto describes their contents. */
export const CORRELATION_ID = 'correlation-id';
export const PROBLEM_TYPE = 'dict-problem-type';
export const RETRY_AFTER = 'retry-after';

/** The HTTP statuses of DICT's answers to failed requests (DICT API 2.6.1, section "Tratamento de erros"). */
export type DictStatus = 400 | 403 | 404 | 410 | 429 | 500 | 503;

/** DICT's HTTP status as a gRPC status code, by the table at the head of proto/bridge.proto. */
export const GRPC_STATUS_OF_HTTP: Readonly<Record<DictStatus, status>> = {
  400: status.INVALID_ARGUMENT,
  403: status.PERMISSION_DENIED,
  404: status.NOT_FOUND,
  410: status.FAILED_PRECONDITION,
  429: status.RESOURCE_EXHAUSTED,
  500: status.INTERNAL,
  503: status.UNAVAILABLE,
};

/** The text of proto/bridge.proto, from disk or from inside the single binary. */
export function readBridgeProto(): string {
  return readAsset('proto/bridge.proto');
}

export type BridgeContract = ServiceDefinition & Record<BridgeMethod, MethodDefinition<object, object>>;

/**
 * The gRPC definition of service DictBridge, from the text of the contract, without a file. Messages are plain objects
 * in camelCase; int64 are numbers. Absent `optional` fields are left out; other absent fields have their default.
 */
export function bridgeContract(protoText: string): BridgeContract {
  const { root } = protobuf.parse(protoText);
  const definitions = fromJSON(root.toJSON(), { longs: Number, defaults: true });
  const service = definitions['dict.bridge.v1.DictBridge'] as ServiceDefinition;
  return service as BridgeContract;
}
