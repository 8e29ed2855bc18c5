import type { Log } from './log.ts';
import { keyOf, type RedisCommand, type RedisNodes, toAway } from './redis-command.ts';
import { connectAnyNode, type RedisConnectionOptions, toRedisReason, type RedisConnection } from './redis-connection.ts';
import { makeRedisNode, type RedisNode, type RedisNodeListener } from './redis-node.ts';
import { parseRedirection, parseSlots, type SlotMap, slotOf } from './redis-slots.ts';
import { type RedisAddress, type RedisEndpoint, toHostText } from './redis-url.ts';

/** All is well: what has moved is mostly learnt from the answers. */
const refreshEveryMs = 5_000;
/** A master is away: its successor must be found soon. */
const searchEveryMs = 200;
/** A node that answers and still shows a master that is away may itself be cut off from the rest. */
const searchesByOneNode = 5;
/** So long a part of the masters may hold up the whole at the start. */
const graceMs = 1_000;
/** A node that gets its first slots is in no map yet, and is asked already (ASK). */
const askedKeepMs = 60_000;

interface Member {
  readonly endpoint: RedisEndpoint;
  readonly node: RedisNode;
  askedUntilMs: number;
}

/** The masters of a Redis Cluster, each with a connection of its own. ioredis' own cluster client queues, waits and sends again by itself, which a limiter with deadlines must not (docs/decisions/0022-redis-topologies.md). */
export class RedisCluster implements RedisNodes {
  readonly #address: RedisAddress;
  readonly #options: RedisConnectionOptions & { readonly log: Log };
  readonly #members = new Map<string, Member>();
  readonly #listeners: RedisNodeListener[] = [];
  /** asks for the map, and moves on to another node when it is lost */
  readonly #control: RedisConnection;
  #map: SlotMap | undefined;
  #timer: NodeJS.Timeout | undefined;
  #graceUntilMs = Infinity;
  #searches = 0;
  #refreshing = false;
  #closed = false;
  #reason = 'not connected yet';

  constructor(address: RedisAddress, options: RedisConnectionOptions & { readonly log: Log }) {
    this.#address = address;
    this.#options = options;
    this.#control = this.listen('slots');
    this.#control.on('error', (error: unknown) => {
      this.#reason = toRedisReason(error);
    });
    this.#control.on('ready', () => void this.#refresh());
    this.#later(searchEveryMs);
  }

  get ready(): boolean {
    return this.#map?.isComplete === true && [...this.#members.values()].every(({ node, askedUntilMs }) => node.ready || askedUntilMs > 0);
  }

  get reachable(): boolean {
    return this.ready || (performance.now() >= this.#graceUntilMs && [...this.#members.values()].some(({ node }) => node.ready));
  }

  get reason(): string {
    const lost = [...this.#members].find(([, { node }]) => !node.ready);
    return lost === undefined ? this.#reason : `${lost[0]}: ${lost[1].node.reason}`;
  }

  get evicts(): boolean | undefined {
    const answers = [...this.#members.values()].map(({ node }) => node.evicts);
    return answers.includes(true) || (answers.includes(false) ? false : undefined);
  }

  readyFor(key: string): boolean {
    return this.#memberOf(key)?.node.ready === true;
  }

  epochOf(key: string): string {
    return this.#memberOf(key)?.node.epoch ?? '';
  }

  placeOf(key: string): string {
    return this.#map?.masterOf[slotOf(key)] ?? '';
  }

  async send(commands: readonly RedisCommand[]): Promise<PromiseSettledResult<unknown>[]> {
    const first = commands.map(keyOf).find((key) => key !== undefined);
    const members = commands.map((command) => {
      const key = keyOf(command) ?? first;
      return key === undefined ? [...this.#members.values()].find(({ node }) => node.ready) : this.#memberOf(key);
    });
    const results = await sendEach(commands, members, this.reason);
    const moved = results.map((result, position) => this.#follow(result, members[position]));
    if (moved.every((redirection) => redirection === undefined)) return results;
    return this.#sendAgain(commands, results, moved);
  }

  listen(name: string): RedisConnection {
    // those of the settings last: where all nodes were replaced, only they are still true
    const endpoints = (): readonly RedisEndpoint[] => [...(this.#map?.all ?? []), ...this.#address.endpoints];
    const label = name === '' ? this.#options.name : `${this.#options.name}-${name}`;
    return connectAnyNode(this.#address, { ...this.#options, name: label }, endpoints);
  }

  watch(listener: RedisNodeListener): void {
    this.#listeners.push(listener);
    if (this.reachable) listener.onReady();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#control.disconnect();
    for (const { node } of this.#members.values()) node.close();
  }

  #memberOf(key: string): Member | undefined {
    return this.#members.get(this.placeOf(key));
  }

  /** Where an answer points to another node; what it says of the map is taken note of. */
  #follow(result: PromiseSettledResult<unknown>, from: Member | undefined): Redirection | undefined {
    if (result.status === 'fulfilled' || from === undefined || !(result.reason instanceof Error)) return undefined;
    const redirection = parseRedirection(result.reason.message, from.endpoint);
    if (redirection === undefined) return undefined;
    const to = this.#join(redirection.to, redirection.asking);
    if (!redirection.asking) void this.#refresh();
    return { asking: redirection.asking, from, to };
  }

  /** Once: who is sent on again is refused, and the next call knows more. */
  async #sendAgain(
    commands: readonly RedisCommand[],
    results: PromiseSettledResult<unknown>[],
    moved: readonly (Redirection | undefined)[],
  ): Promise<PromiseSettledResult<unknown>[]> {
    const again: { position: number; command: RedisCommand; member: Member }[] = [];
    for (const [position, redirection] of moved.entries()) {
      const command = commands[position];
      if (redirection === undefined || command === undefined || isDecidedByEpoch(command, redirection)) continue;
      if (redirection.asking) again.push({ position: -1, command: ['ASKING'], member: redirection.to });
      again.push({ position, command, member: redirection.to });
    }
    const answers = await sendEach(
      again.map(({ command }) => command),
      again.map(({ member }) => member),
      'the slot has moved to a node without a connection yet',
    );
    for (const [index, { position }] of again.entries()) {
      const answer = answers[index];
      if (position >= 0 && answer !== undefined) results[position] = answer;
    }
    return results;
  }

  async #refresh(): Promise<void> {
    if (this.#refreshing || this.#closed || this.#control.status !== 'ready') return;
    this.#refreshing = true;
    const { host = '', port = 0 } = this.#control.options;
    try {
      const map = parseSlots(await this.#control.call('CLUSTER', 'SLOTS'), { host, port });
      if (map !== undefined) this.#apply(map);
    } catch (error) {
      this.#reason = toRedisReason(error);
    }
    this.#refreshing = false;
  }

  #apply(map: SlotMap): void {
    if (this.#closed) return;
    if (this.#map === undefined) {
      this.#graceUntilMs = performance.now() + graceMs;
      setTimeout(() => this.#tell(), graceMs + 1).unref();
    }
    this.#map = map;
    for (const [text, member] of this.#members) {
      if (map.masters.has(text)) member.askedUntilMs = 0;
      else if (member.askedUntilMs < performance.now()) this.#leave(text, member);
    }
    for (const endpoint of map.masters.values()) this.#join(endpoint, false);
  }

  #join(endpoint: RedisEndpoint, asked: boolean): Member {
    const text = toHostText(endpoint);
    const known = this.#members.get(text);
    if (known !== undefined) return known;
    const redis = connectAnyNode(this.#address, this.#options, () => [endpoint]);
    const node = makeRedisNode(redis, {
      onReady: () => {
        this.#options.log.info({ event: 'redis_node_ready', redis: text }, 'connected to a master of the Redis Cluster');
        this.#tell();
      },
      onLost: (reason) => {
        this.#later(searchEveryMs);
        for (const { onLost } of this.#listeners) onLost(`${text}: ${reason}`);
      },
    });
    const inMap = this.#map?.masters.has(text) === true;
    const member = { endpoint, node, askedUntilMs: asked || !inMap ? performance.now() + askedKeepMs : 0 };
    this.#members.set(text, member);
    return member;
  }

  #leave(text: string, { node }: Member): void {
    this.#members.delete(text);
    node.close();
    this.#options.log.info({ event: 'redis_node_left', redis: text }, 'no master of the Redis Cluster any more');
    this.#tell();
  }

  #tell(): void {
    if (this.#closed || !this.reachable) return;
    for (const { onReady } of this.#listeners) onReady();
  }

  #later(ms: number): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#search(), ms);
    this.#timer.unref();
  }

  async #search(): Promise<void> {
    await this.#refresh();
    this.#searches = this.ready ? 0 : this.#searches + 1;
    if (this.#searches >= searchesByOneNode && this.#control.status === 'ready') {
      this.#searches = 0;
      this.#control.disconnect(true);
    }
    this.#later(this.ready ? refreshEveryMs : searchEveryMs);
  }
}

interface Redirection {
  readonly asking: boolean;
  readonly from: Member;
  readonly to: Member;
}

/**
 * What was decided by the epoch of the former master must not be done by its successor, whose data may be older: it is refused, and whoever asks again does so with the new epoch.
 */
function isDecidedByEpoch(command: RedisCommand, { from, to }: Redirection): boolean {
  return from.node.epoch !== '' && from.node.epoch !== to.node.epoch && command.includes(from.node.epoch);
}

/** In one write for each member. `reason`: why those without a member are not sent. */
async function sendEach(
  commands: readonly RedisCommand[],
  members: readonly (Member | undefined)[],
  reason: string,
): Promise<PromiseSettledResult<unknown>[]> {
  const results: PromiseSettledResult<unknown>[] = commands.map(() => toAway(reason));
  const parts = new Map<Member, { readonly commands: RedisCommand[]; readonly positions: number[] }>();
  for (const [position, command] of commands.entries()) {
    const member = members[position];
    if (member === undefined) continue;
    const part = parts.get(member) ?? { commands: [], positions: [] };
    part.commands.push(command);
    part.positions.push(position);
    parts.set(member, part);
  }
  const sendPart = async ({ node }: Member, part: { readonly commands: RedisCommand[]; readonly positions: number[] }): Promise<void> => {
    const answers = await node.send(part.commands);
    for (const [index, position] of part.positions.entries()) results[position] = answers[index] ?? toAway(reason);
  };
  await Promise.all([...parts].map(([member, part]) => sendPart(member, part)));
  return results;
}
