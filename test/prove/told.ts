import { readFileSync } from 'node:fs';
import { Pool } from 'undici';
import type { ControlPlane } from '../support/control-plane.ts';

/** When the API server has told a watch of its own of each version of an object: what comes before that is nobody's work but the API server's. */
export interface Told {
  /** by `performance.now()`; undefined: not yet */
  atMs(name: string, resourceVersion: string): number | undefined;
  close(): Promise<void>;
}

export async function watchVersions({ url, certificatePath, adminToken }: ControlPlane, path: string): Promise<Told> {
  const pool = new Pool(url, { connect: { ca: readFileSync(certificatePath) }, allowH2: false, bodyTimeout: 0 });
  const { body } = await pool.request({
    method: 'GET',
    path: `${path}?watch=true`,
    headers: { authorization: `Bearer ${adminToken}`, accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1' },
  });
  const told = new Map<string, number>();
  let rest = '';
  body.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const { metadata } = (JSON.parse(line) as { object: { metadata: { name?: string; resourceVersion?: string } } }).object;
      told.set(`${metadata.name} ${metadata.resourceVersion}`, performance.now());
    }
  });
  // its end is ours
  body.on('error', () => undefined);
  return {
    atMs: (name, resourceVersion) => told.get(`${name} ${resourceVersion}`),
    async close() {
      await pool.destroy();
    },
  };
}
