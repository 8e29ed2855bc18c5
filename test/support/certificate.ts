import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeTemporaryDirectory, runCommand } from './child.ts';

export interface Certificate {
  /** self-signed, so that it is its own authority; in PEM */
  readonly certificate: string;
  readonly privateKey: string;
}

/** A new certificate for 127.0.0.1 by `openssl`, which Debian and macOS have; Node can make keys, but no certificates. */
export async function makeCertificate(name: string): Promise<Certificate> {
  const directory = makeTemporaryDirectory('certificate');
  const [certificate, privateKey] = [join(directory, 'tls.crt'), join(directory, 'tls.key')];
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await runCommand('openssl', ['req', '-x509', ...key, ...subject, '-days', '2', '-keyout', privateKey, '-out', certificate]);
  return { certificate: readFileSync(certificate, 'utf8'), privateKey: readFileSync(privateKey, 'utf8') };
}
