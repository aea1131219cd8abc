import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Whether certificates can be made here. */
export const canMakeCertificates = openssl('version');

/**
 * Makes a self-signed certificate as PEM files in a folder, and returns their paths. `altName` is as OpenSSL writes it:
 * `DNS:name`, `IP:127.0.0.1`.
 */
export function makeCertificate(
  folder: string,
  name: string,
  altName = `DNS:${name}`,
): { key: string; cert: string } {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  openssl(
    ...'req -x509 -newkey rsa:2048 -nodes -days 1'.split(' '),
    ...['-keyout', key, '-out', cert, '-subj', `/CN=${name}`, '-addext', `subjectAltName=${altName}`],
  );
  return { key, cert };
}

function openssl(...args: string[]): boolean {
  try {
    execFileSync('openssl', args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
