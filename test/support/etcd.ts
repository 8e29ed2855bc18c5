import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Child, startChild } from './child.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';

export interface Etcd {
  readonly url: string;
  /** every key and value as they are stored */
  entries(): Promise<{ key: string; value: Buffer }[]>;
  /** takes the history out */
  compact(): Promise<void>;
  /** a copy of everything, from which `restore` goes back; it stops and starts for both */
  save(): Promise<void>;
  restore(): Promise<void>;
  stop(): Promise<void>;
}

/** An etcd of this test's own, on free loopback ports that stay the same. */
export async function startEtcd(programs: string, directory: string): Promise<Etcd> {
  const url = `http://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const [data, backup] = [join(directory, 'etcd'), join(directory, 'etcd-backup')];

  async function start(): Promise<Child> {
    const child = startChild(join(programs, 'etcd'), [
      `--data-dir=${data}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--unsafe-no-fsync', // nothing here is to survive the machine
      '--log-level=warn',
    ]);
    await eventually(
      async () => {
        if (!child.running) throw new Error(`etcd ended: ${child.lastWords()}`);
        return (await fetch(`${url}/health`)).ok;
      },
      { withinMs: 60_000 },
    );
    return child;
  }

  /** with nothing open on the files */
  async function copyBetween(from: string, to: string): Promise<void> {
    await etcd.stop(10_000);
    await rm(to, { recursive: true, force: true });
    await cp(from, to, { recursive: true });
    etcd = await start();
  }

  let etcd = await start();
  return {
    url,
    entries: () => readEntries(url),
    compact: () => compact(url),
    save: () => copyBetween(data, backup),
    restore: () => copyBetween(backup, data),
    stop: async () => void (await etcd.stop(2_000)),
  };
}

async function compact(url: string): Promise<void> {
  const ask = async (path: string, body: object): Promise<{ header?: { revision?: string } }> => {
    const answer = await fetch(`${url}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`etcd answered ${answer.status} to ${path}`);
    return (await answer.json()) as { header?: { revision?: string } };
  };
  const { header } = await ask('range', { key: 'AA==', limit: 1 });
  await ask('compaction', { revision: header?.revision, physical: true });
}

/** etcd's JSON gateway: the range from the smallest key to the end; both are a zero byte in base64. */
async function readEntries(url: string): Promise<{ key: string; value: Buffer }[]> {
  const answer = await fetch(`${url}/v3/kv/range`, { method: 'POST', body: JSON.stringify({ key: 'AA==', range_end: 'AA==' }) });
  if (!answer.ok) throw new Error(`etcd answered ${answer.status}`);
  const { kvs = [] } = (await answer.json()) as { kvs?: { key: string; value?: string }[] };
  return kvs.map(({ key, value = '' }) => ({ key: Buffer.from(key, 'base64').toString(), value: Buffer.from(value, 'base64') }));
}
