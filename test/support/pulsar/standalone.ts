import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readAsset } from '../../../src/assets.ts';
import type { Broker } from './find-pulsar.ts';
import { pulsarClasspath } from './classpath.ts';

const START_MS = 120_000;

/** What Pulsar's own start script opens, for Java 17. */
const JVM = [
  '-Xms64m',
  '-Xmx384m',
  '-XX:MaxDirectMemorySize=256m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '--add-opens=java.base/java.io=ALL-UNNAMED',
  '--add-opens=java.base/java.lang=ALL-UNNAMED',
  '--add-opens=java.base/java.nio=ALL-UNNAMED',
  '--add-opens=java.base/java.util.zip=ALL-UNNAMED',
  '--add-opens=java.base/jdk.internal.misc=ALL-UNNAMED',
  '--add-opens=java.base/jdk.internal.platform=ALL-UNNAMED',
  '--add-opens=java.base/sun.net=ALL-UNNAMED',
  '--add-opens=java.management/sun.management=ALL-UNNAMED',
  '--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED',
  '-Dio.netty.tryReflectionSetAccessible=true',
];

/** One broker and one bookie, on this machine's loopback only; small, and not protected against a power cut. */
const SETTINGS = {
  clusterName: 'standalone',
  advertisedAddress: '127.0.0.1',
  bindAddress: '127.0.0.1',
  webSocketServiceEnabled: 'true',
  brokerDeduplicationEnabled: 'true',
  managedLedgerDefaultEnsembleSize: '1',
  managedLedgerDefaultWriteQuorum: '1',
  managedLedgerDefaultAckQuorum: '1',
  defaultNumberOfNamespaceBundles: '1',
  loadBalancerEnabled: 'false',
  systemTopicEnabled: 'false',
  topicLevelPoliciesEnabled: 'false',
  journalSyncData: 'false',
  numHttpServerThreads: '8',
};

/** A Pulsar that a test may kill and start again, on the same ports and data. */
export interface Standalone extends Broker {
  /** Kills it immediately, as a power cut of the process does. */
  kill(): Promise<void>;
  /** Starts it again after `kill`. */
  start(): Promise<void>;
}

export interface StandaloneOptions {
  /** Lines of broker.conf to change. */
  settings?: Record<string, string>;
  /** PEM files: the broker listens with TLS too. */
  tls?: { cert: string; key: string };
  /** A super user's token, for the admin API. */
  token?: string;
}

/**
 * Starts Apache Pulsar standalone on this machine's Java, with its data in a temporary folder. It ends with this
 * process, even when this process is killed. Throws with the last lines of its log when it does not start.
 */
export async function startStandalone(options: StandaloneOptions = {}): Promise<Standalone> {
  const classpath = await pulsarClasspath();
  const directory = await mkdtemp(join(tmpdir(), 'dict-vsync-pulsar-'));
  const [broker, web, bookie, brokerTls, webTls] = await freePorts(5);
  const settings = {
    ...SETTINGS,
    brokerServicePort: broker,
    webServicePort: web,
    ...(options.tls && {
      brokerServicePortTls: brokerTls,
      webServicePortTls: webTls,
      tlsCertificateFilePath: options.tls.cert,
      tlsKeyFilePath: options.tls.key,
    }),
    ...options.settings,
  };
  const configuration = join(directory, 'standalone.conf');
  await writeFile(
    configuration,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  const logging = join(directory, 'log4j2.xml');
  await writeFile(logging, readAsset('test/support/pulsar/log4j2.xml'));
  const command = [
    'java',
    '-cp',
    classpath,
    ...JVM,
    `-Dlog4j2.configurationFile=${logging}`,
    'org.apache.pulsar.PulsarStandaloneStarter',
  ]
    .concat('--config', configuration, '--no-functions-worker', '--no-stream-storage')
    .concat('--metadata-dir', join(directory, 'metadata'), '--bookkeeper-dir', join(directory, 'bookkeeper'))
    .concat('--bookkeeper-port', String(bookie), '--advertised-address', '127.0.0.1');
  const adminUrl = `http://127.0.0.1:${web}`;
  let running: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    running = await launch(command, join(directory, 'log'));
    await ready(running, adminUrl, options.token).catch(async (cause: unknown) => {
      const log = await readFile(join(directory, 'log'), 'utf8');
      await kill();
      throw new Error(`Pulsar does not start:\n${log.split('\n').slice(-30).join('\n')}`, { cause });
    });
  };
  const kill = async (): Promise<void> => {
    const child = running;
    running = undefined;
    if (child === undefined || child.exitCode !== null) return;
    child.stdin?.end();
    await once(child, 'exit');
  };
  const stop = async (): Promise<void> => {
    await kill();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    serviceUrl: `pulsar://127.0.0.1:${broker}`,
    webSocketUrl: `ws://127.0.0.1:${web}`,
    adminUrl,
    ...(options.tls && {
      tls: { serviceUrl: `pulsar+ssl://127.0.0.1:${brokerTls}`, webSocketUrl: `wss://127.0.0.1:${webTls}` },
    }),
    ...(options.token !== undefined && { token: options.token }),
    kill,
    start,
    stop,
  };
}

/** Java behind a shell that kills it as soon as its own stdin ends: it ends with us, however we end. */
async function launch(command: readonly string[], log: string): Promise<ChildProcess> {
  const script =
    'exec 3<&0; "$@" 3<&- & pulsar=$!; { cat <&3; kill -9 $pulsar; } >/dev/null 2>&1 & wait $pulsar';
  const file = await open(log, 'a');
  try {
    const child = spawn('sh', ['-c', script, 'pulsar', ...command], { stdio: ['pipe', file.fd, file.fd] });
    // A shell that has ended accepts no more input.
    child.stdin?.on('error', () => undefined);
    child.once('exit', () => child.stdin?.destroy());
    await once(child, 'spawn');
    return child;
  } finally {
    await file.close();
  }
}

/** Waits until the namespace that the starter creates last exists. */
async function ready(child: ChildProcess, adminUrl: string, token?: string): Promise<void> {
  const end = Date.now() + START_MS;
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  for (;;) {
    if (child.exitCode !== null) throw new Error('Java has ended.');
    if (Date.now() > end) throw new Error(`Not ready after ${START_MS / 1000} s.`);
    const answer = await fetch(`${adminUrl}/admin/v2/persistent/public/default`, { headers }).catch(
      () => undefined,
    );
    await answer?.body?.cancel();
    if (answer?.ok === true) return;
    await delay(50);
  }
}

/** Ports that nobody listens on at this moment. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
