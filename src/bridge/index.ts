export type {
  Answered,
  AvailableCidSetFile,
  Bridge,
  CallOptions,
  CidSetEvent,
  CidSetEvents,
  CidSetFile,
  EntryByCid,
  FileStatus,
  Policy,
  RegisteredEntry,
  SyncVerification,
  UnfinishedCidSetFile,
} from './bridge.ts';
export type { BridgeOptions } from './client.ts';
export { connectBridge } from './client.ts';
export { bridgeContract, readBridgeProto } from './contract.ts';
