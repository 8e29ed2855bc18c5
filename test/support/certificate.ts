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

/** An authority of one's own and a certificate that it signed, for 127.0.0.1. */
export async function makeSignedCertificate(name: string): Promise<Certificate & { readonly authority: string }> {
  const directory = makeTemporaryDirectory('authority');
  const at = (file: string): string => join(directory, file);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = ['-subj', `/CN=authority of ${name}`, '-days', '2', '-keyout', at('ca.key'), '-out', at('ca.crt')];
  await runCommand('openssl', ['req', '-x509', ...key, ...authority]);
  const request = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  await runCommand('openssl', ['req', ...key, ...request, '-keyout', at('tls.key'), '-out', at('tls.csr')]);
  const sign = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-copy_extensions', 'copy', '-days', '2'];
  await runCommand('openssl', ['x509', '-req', '-in', at('tls.csr'), ...sign, '-out', at('tls.crt')]);
  const [certificate, privateKey, ca] = ['tls.crt', 'tls.key', 'ca.crt'].map((file) => readFileSync(at(file), 'utf8')) as [
    string,
    string,
    string,
  ];
  return { certificate, privateKey, authority: ca };
}
