import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeSignedCertificate } from './certificate.ts';
import { makeTemporaryDirectory } from './child.ts';

export interface TlsOfRedis {
  /** PEM of the authority that signed the certificate */
  readonly authority: string;
  /** a file with it */
  readonly caFile: string;
  /** lines of a Redis' configuration */
  readonly configuration: string;
}

/** What a Redis on the loopback needs to speak TLS with a certificate of an authority that no system knows. */
export async function makeTlsOfRedis(): Promise<TlsOfRedis> {
  const directory = makeTemporaryDirectory('redis-tls');
  const { certificate, privateKey, authority } = await makeSignedCertificate('redis');
  const write = (name: string, content: string): string => {
    const file = join(directory, name);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
  };
  const caFile = write('ca.crt', authority);
  const lines = [
    `tls-cert-file ${write('tls.crt', certificate)}`,
    `tls-key-file ${write('tls.key', privateKey)}`,
    `tls-ca-cert-file ${caFile}`,
    'tls-auth-clients no',
    // replicas, the bus of a cluster and Sentinels among themselves
    'tls-replication yes',
    'tls-cluster yes',
  ];
  return { authority, caFile, configuration: lines.join('\n') };
}
