import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectBridge } from '../../../src/bridge/index.ts';
import { canMakeCertificates, makeCertificate } from '../../support/certificate.ts';
import { CALL, ISPB, bridgeWithDict, failure } from './support.ts';

describe.skipIf(!canMakeCertificates)('TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dv-tls-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  function certificate(name: string) {
    const { key, cert } = makeCertificate(folder, name);
    return { key: readFileSync(key), cert: readFileSync(cert) };
  }
  type Pair = ReturnType<typeof certificate>;
  let server: Pair;
  let client: Pair;
  let trusted: { ca: Buffer; serverName: string };
  beforeAll(() => {
    server = certificate('bridge.test');
    client = certificate('psp.test');
    trusted = { ca: server.cert, serverName: 'bridge.test' };
  });
  const call = { ...CALL, timeoutMs: 5_000 };

  test('a Bridge whose certificate is trusted is called', async () => {
    const { bridge } = await bridgeWithDict({ tls: server }, { tls: trusted });
    expect(await bridge.listPolicies({ participant: ISPB }, call)).toHaveLength(7);
  });

  test('a Bridge that requires a client certificate is called with one, and not without', async () => {
    const { bridge, address } = await bridgeWithDict(
      { tls: { ...server, ca: client.cert } },
      { tls: { ...trusted, ...client } },
    );
    expect(await bridge.listPolicies({ participant: ISPB }, call)).toHaveLength(7);
    const stranger = connectBridge({ address, tls: trusted });
    const error = await failure(stranger.listPolicies({ participant: ISPB }, call));
    stranger.close();
    expect(error.code).toBe('DV_BRIDGE_UNAVAILABLE');
  });

  test.each([
    ['not trusted', () => ({ ca: client.cert, serverName: 'bridge.test' }), 'self-signed certificate'],
    ['of another name', () => ({ ca: server.cert, serverName: 'other.test' }), 'Hostname/IP does not match'],
  ])('a Bridge whose certificate is %s is not called', async (_, tls, reason) => {
    const { bridge, dict } = await bridgeWithDict({ tls: server }, { tls: tls() });
    const error = await failure(bridge.listPolicies({ participant: ISPB }, call));
    expect(error.code).toBe('DV_BRIDGE_UNAVAILABLE');
    expect(error.message).toContain(reason);
    expect(dict.ledger.calls()).toEqual([]);
  });

  test('files that do not match are refused before any call', () => {
    const refused = expect.objectContaining({ code: 'DV_BRIDGE_TLS_INVALID', exit: 2 });
    const attempt = (tls: object) => () => connectBridge({ address: '127.0.0.1:1', tls });
    expect(attempt({ cert: server.cert, serverName: 'bridge.test' })).toThrow(refused);
    expect(attempt({ cert: Buffer.from('no PEM'), key: client.key, serverName: 'b' })).toThrow(/TLS files/);
    expect(attempt({ ca: server.cert })).toThrow(/IP address/);
    expect(attempt({ cert: server.cert, key: client.key, serverName: 'b' })).toThrow(refused);
  });
});
