import { type RedisEndpoint, toHostText } from './redis-url.ts';

/** How many slots a Redis Cluster deals out to its masters. */
export const slotCount = 16_384;

/** Source: Redis Cluster specification, "Hash tags": CRC16 (XMODEM) of the text in the first pair of braces that holds any, else of the whole key. */
export function slotOf(key: string): number {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  const text = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc % slotCount;
}

export interface SlotMap {
  /** slot → text of the master's host and port; absent: nobody has it */
  readonly masterOf: readonly (string | undefined)[];
  readonly masters: ReadonlyMap<string, RedisEndpoint>;
  /** masters and replicas */
  readonly all: readonly RedisEndpoint[];
  readonly isComplete: boolean;
}

/** Reads the answer of CLUSTER SLOTS. `asked`: who gave it, for nodes that do not know their own host. Undefined: no such answer. */
export function parseSlots(reply: unknown, asked: RedisEndpoint): SlotMap | undefined {
  if (!Array.isArray(reply) || reply.length === 0) return undefined;
  const masterOf = Array.from<string | undefined>({ length: slotCount });
  const masters = new Map<string, RedisEndpoint>();
  const all = new Map<string, RedisEndpoint>();
  for (const range of reply as unknown[]) {
    if (!Array.isArray(range)) return undefined;
    const [from, to, ...nodes] = range as [number, number, ...unknown[]];
    const endpoints = nodes.map((node) => toEndpoint(node, asked));
    const [master] = endpoints;
    if (master === undefined) continue;
    const text = toHostText(master);
    masters.set(text, master);
    for (const endpoint of endpoints) if (endpoint !== undefined) all.set(toHostText(endpoint), endpoint);
    masterOf.fill(text, from, to + 1);
  }
  return { masterOf, masters, all: [...all.values()], isComplete: masterOf.every((text) => text !== undefined) };
}

/** `MOVED 3999 127.0.0.1:6381` and `ASK …`; the host may be missing, and an IPv6 address has no brackets. Undefined: another error. */
export function parseRedirection(message: string, asked: RedisEndpoint): { asking: boolean; slot: number; to: RedisEndpoint } | undefined {
  const [, word, slot, host = '', port] = /^(MOVED|ASK) (\d{1,5}) (.*):(\d{1,5})$/.exec(message) ?? [];
  if (word === undefined) return undefined;
  return { asking: word === 'ASK', slot: Number(slot), to: { host: host === '' ? asked.host : host, port: Number(port) } };
}

function toEndpoint(node: unknown, asked: RedisEndpoint): RedisEndpoint | undefined {
  const [host, port] = Array.isArray(node) ? (node as [unknown, unknown]) : [];
  if (typeof port !== 'number') return undefined;
  return { host: typeof host === 'string' && host !== '' && host !== '?' ? host : asked.host, port };
}
