import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { crdPath, readDefinitions } from '../../crds/schema-file.ts';
import { eventually } from '../support/eventually.ts';
import type { ControlPlane } from '../support/control-plane.ts';

type Manifest = Readonly<Record<string, unknown>>;

export interface ApiAnswer {
  readonly status: number;
  /** what the API server says of a refusal; the object else */
  readonly message: string;
  readonly object: Readonly<Record<string, unknown>>;
}

/** The API server without a client between: strict about fields as kubectl is, and without kubectl's time per call. */
export interface KubernetesApi {
  create(manifest: Manifest, options?: { dryRun?: boolean }): Promise<ApiAnswer>;
  /** PUT without a resourceVersion: no check of conflicts */
  replace(manifest: Manifest, options?: { dryRun?: boolean }): Promise<ApiAnswer>;
  remove(manifest: Manifest): Promise<void>;
  close(): Promise<void>;
}

export async function installCrds({ kubectl }: ControlPlane): Promise<void> {
  await kubectl('apply', '-f', crdPath('virtualkey.crd.yaml'), '-f', crdPath('channel.crd.yaml'));
  await kubectl('wait', '--for=condition=Established', '--timeout=60s', 'crd/virtualkeys.keywright.dev', 'crd/channels.keywright.dev');
  // established is said a moment before the resource is served
  await eventually(() => kubectl('get', 'virtualkeys,channels').then(() => true), { withinMs: 30_000 });
}

export function makeKubernetesApi({ url, certificatePath, adminToken }: ControlPlane): KubernetesApi {
  const dispatcher = new Agent({ connect: { ca: readFileSync(certificatePath, 'utf8') }, connections: 8 });
  const send = async (method: 'POST' | 'PUT' | 'DELETE', path: string, body?: Manifest): Promise<ApiAnswer> => {
    const answer = await request(`${url}${path}`, {
      dispatcher,
      method,
      headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const object = (await answer.body.json()) as Record<string, unknown>;
    return { status: answer.statusCode, message: typeof object['message'] === 'string' ? object['message'] : '', object };
  };
  return {
    create: (manifest, { dryRun = false } = {}) => send('POST', `${toPath(manifest)}?${toQuery(dryRun)}`, manifest),
    replace: (manifest, { dryRun = false } = {}) => send('PUT', `${toPath(manifest)}/${nameOf(manifest)}?${toQuery(dryRun)}`, manifest),
    remove: async (manifest) => void (await send('DELETE', `${toPath(manifest)}/${nameOf(manifest)}`)),
    close: () => dispatcher.close(),
  };
}

const plurals = new Map(readDefinitions().map(({ kind, plural }) => [kind, plural]));

function toPath({ kind }: Manifest): string {
  return `/apis/keywright.dev/v1alpha1/namespaces/default/${plurals.get(String(kind))}`;
}

function toQuery(dryRun: boolean): string {
  return `fieldValidation=Strict${dryRun ? '&dryRun=All' : ''}`;
}

function nameOf({ metadata }: Manifest): string {
  return (metadata as { name: string }).name;
}
