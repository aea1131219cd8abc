import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { expect, test } from 'vitest';
import { BRIDGE_METHODS } from '../../../src/bridge/contract.ts';
import { bridgeContract, readBridgeProto } from '../../../src/bridge/index.ts';

const contract = bridgeContract(readBridgeProto());

test('the contract built from text equals the one that a loader builds from the file', () => {
  const fromFile = loadSync('proto/bridge.proto')['dict.bridge.v1.DictBridge'] as ServiceDefinition;
  const shape = (service: ServiceDefinition) =>
    Object.values(service).map(({ path, requestStream, responseStream }) => ({
      path,
      requestStream,
      responseStream,
    }));
  expect(shape(contract)).toEqual(shape(fromFile));
  expect(Object.keys(contract).toSorted()).toEqual(BRIDGE_METHODS.toSorted());
});

test('optional fields keep the difference between absent and empty; int64 are numbers', () => {
  const { responseSerialize, responseDeserialize } = contract.GetCidSetFile;
  const trip = (file: object) =>
    (responseDeserialize(responseSerialize({ file })) as { file: Record<string, unknown> }).file;
  expect(trip({ id: '1', status: 'AVAILABLE', bytes: 0, url: '' })).toMatchObject({ bytes: 0, url: '' });
  expect(trip({ bytes: 12_345_678_901 })).toMatchObject({ bytes: 12_345_678_901, id: '' });
  expect(Object.keys(trip({ id: '1' }))).not.toContain('bytes');
});
