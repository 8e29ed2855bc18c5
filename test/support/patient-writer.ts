import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { ControlPlane } from './control-plane.ts';

/** Writes VirtualKeys of the namespace `default` without a client between, for as long as it takes: an API server that is away or throttles is asked again. */
export interface PatientWriter {
  create(name: string, spec: object): Promise<void>;
  /** merge patch of the spec */
  patch(name: string, spec: object): Promise<void>;
  list<T>(path: string): Promise<T[]>;
  close(): Promise<void>;
}

export function makePatientWriter({ url, certificatePath, adminToken }: ControlPlane): PatientWriter {
  const dispatcher = new Agent({ connect: { ca: readFileSync(certificatePath, 'utf8') }, connections: 8 });
  const keys = '/apis/keywright.dev/v1alpha1/namespaces/default/virtualkeys';

  async function trySend(method: 'GET' | 'POST' | 'PATCH', path: string, body?: object): Promise<{ code: number; value: unknown }> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const answer = await request(url + path, {
      dispatcher,
      method,
      headers: { authorization: `Bearer ${adminToken}`, 'content-type': type },
      body: body === undefined ? null : JSON.stringify(body),
      bodyTimeout: 10_000,
      headersTimeout: 10_000,
    });
    return { code: answer.statusCode, value: await answer.body.json() };
  }

  async function send(method: 'GET' | 'POST' | 'PATCH', path: string, body?: object): Promise<unknown> {
    for (;;) {
      const answer = await trySend(method, path, body).catch(() => undefined);
      if (answer !== undefined && answer.code < 300) return answer.value;
      // made by an attempt whose answer was lost
      if (answer?.code === 409 && method === 'POST') return answer.value;
      // 403 and 404: the roles and the kinds are read a moment after the start
      const passes = answer === undefined || answer.code === 429 || answer.code >= 500 || answer.code === 403 || answer.code === 404;
      if (!passes) throw new Error(`${method} ${path}: ${answer.code} ${JSON.stringify(answer.value)}`);
      await sleep(100);
    }
  }

  return {
    async create(name, spec) {
      await send('POST', keys, { apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata: { name }, spec });
    },
    async patch(name, spec) {
      await send('PATCH', `${keys}/${name}`, { spec });
    },
    async list<T>(path: string) {
      return ((await send('GET', path)) as { items: T[] }).items;
    },
    close: () => dispatcher.close(),
  };
}
