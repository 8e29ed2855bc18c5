import fc from 'fast-check';
import type { VirtualKeySpec } from '../../core/resources.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import { readyOf, World } from '../test-world.ts';
import { Leader } from './leader.ts';
import { Ledger, overlapMs } from './ledger.ts';

/** Hashes that keys bring, over and over. */
const pool = ['x', 'y', 'z'].map((letter) => sha256Hex(letter));
const bringers = ['h', 'i'] as const;
const chunkMs = 30_000;

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ does: fc.constant('wait' as const), ms: fc.constantFrom(100, 1_000, 2_500, 5_000, 60_000, 660_000) }),
  },
  { weight: 5, arbitrary: fc.record({ does: fc.constant('trigger' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constant('annotate' as const),
      option: fc.constantFrom('', ';overlap=0s', ';overlap=1m', ';overlap=x'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constantFrom('deleteSecret' as const, 'plant' as const, 'putBack' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant('layout' as const), entry: fc.constantFrom('apiKey', 'token'), redact: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constantFrom('suspend' as const, 'resume' as const) }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constantFrom('revoke' as const, 'remake' as const, 'remove' as const) }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constant('bring' as const), who: fc.constantFrom(...bringers), which: fc.subarray(pool) }) },
  { weight: 6, arbitrary: fc.record({ does: fc.constant('crash' as const), writes: fc.nat(7), arrives: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constantFrom('second' as const, 'behind' as const, 'catchUp' as const) }) },
);

export interface Step {
  readonly does: Does;
  readonly ms?: number;
  readonly option?: string;
  readonly entry?: string;
  readonly redact?: boolean;
  readonly writes?: number;
  readonly arrives?: boolean;
  readonly who?: string;
  readonly which?: readonly string[];
}

type Edit = 'trigger' | 'annotate' | 'layout' | 'suspend' | 'resume' | 'revoke';
type Touch = 'deleteSecret' | 'plant' | 'putBack';
type Does = Edit | Touch | 'wait' | 'crash' | 'second' | 'behind' | 'catchUp' | 'bring' | 'remove' | 'remake';

const overlaps: Readonly<Record<string, number>> = { ';overlap=0s': 0, ';overlap=1m': 60_000 };
const firstSpec: VirtualKeySpec = { rotation: { overlap: `${overlapMs / 1000}s` } };

/** What a run has come to. */
export interface Outcome {
  readonly broken: readonly string[];
  readonly writes: number;
  readonly keys: number;
}

/** One interleaving of users, time, crashes and two leaders; then everything is let come to rest, and looked at once more. */
export async function runSteps(steps: readonly Step[]): Promise<Outcome> {
  const run = new Run();
  await run.begin();
  for (const one of steps) if (run.ledger.broken.size === 0) await run.take(one);
  await run.end();
  return { broken: [...run.ledger.broken], writes: run.writes, keys: run.ledger.delivered.length };
}

class Run {
  readonly world = new World();
  readonly ledger = new Ledger(this.world);
  writes = 0;
  #leaders: Leader[] = [];
  #spec = firstSpec;
  #annotation: string | undefined;
  #count = 0;
  #isThere = true;

  async begin(): Promise<void> {
    await this.#apply();
    this.ledger.wishes += 1;
    await this.#lead();
    await this.world.advance(5_000);
  }

  async take(one: Step): Promise<void> {
    await this.#actions[one.does](one);
    for (const leader of this.#leaders.filter(({ isDead }) => isDead)) await this.#bury(leader);
    if (this.#leaders.length === 0) await this.#lead();
    await this.world.settle();
    this.ledger.check();
  }

  /** One healthy leader, nothing more from outside, and time for everything that is under way. */
  async end(): Promise<void> {
    for (const leader of this.#leaders) await this.#bury(leader);
    if (this.ledger.broken.size > 0) return;
    await this.#lead();
    await this.#wait(3 * overlapMs);
    await this.#checkEnd();
    for (const leader of this.#leaders) await this.#bury(leader);
    const restarted = await this.#lead();
    await this.#wait(600_000);
    if (restarted.writes > 0) this.ledger.broken.add(`unchanged input is written: ${this.world.writes.at(-1)?.name}`);
    await this.#bury(restarted);
  }

  readonly #actions: Readonly<Record<Does, (one: Step) => Promise<unknown> | void>> = {
    wait: ({ ms = 0 }) => this.#wait(ms),
    crash: ({ writes = 0, arrives = false }) => this.#leaders[0]?.dieAfter(writes, arrives),
    second: () => (this.#leaders.length < 2 ? this.#lead() : undefined),
    behind: () => this.#leaders.at(-1)?.fallBehind(),
    catchUp: () => this.#leaders.at(-1)?.catchUp(),
    bring: ({ who = '', which = [] }) =>
      this.world.applyKey(who, { credential: { hashes: which.map((hash) => ({ hash: `sha256:${hash}` })) } }),
    deleteSecret: () => this.#touch('deleteSecret'),
    plant: () => this.#touch('plant'),
    putBack: () => this.#touch('putBack'),
    remove: () => this.#remove(false),
    remake: () => this.#remove(true),
    trigger: () => this.#edit({ rotation: { ...this.#spec.rotation, trigger: String(this.#count + 1) } }),
    suspend: () => this.#edit({ suspended: true }),
    resume: () => this.#edit({ suspended: false }),
    revoke: () => this.#edit({ revoked: true }),
    layout: ({ entry = 'apiKey', redact }) =>
      this.#edit({ delivery: { secretKey: entry, ...(redact === true ? { redactAfter: '300s' } : {}) } }),
    annotate: ({ option = '' }) => this.#annotate(option),
  };

  async #edit(change: VirtualKeySpec): Promise<void> {
    if (!this.#isThere) return;
    this.#count += 1;
    this.#spec = { ...this.#spec, ...change };
    if (change.rotation !== undefined) this.ledger.wishes += 1;
    this.ledger.isRevoked ||= change.revoked === true;
    await this.#apply();
  }

  async #annotate(option: string): Promise<void> {
    this.#annotation = `${this.#count + 1}${option}`;
    this.ledger.wishes += 1;
    this.ledger.shortestOverlapMs = Math.min(this.ledger.shortestOverlapMs, overlaps[option] ?? overlapMs);
    await this.#edit({});
  }

  async #apply(): Promise<void> {
    const annotations: Record<string, string> = this.#annotation === undefined ? {} : { 'keywright.dev/rotate': this.#annotation };
    const metadata = { name: 'a', namespace: 'team', annotations };
    const key = await this.world.cluster.apply({ apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata, spec: this.#spec });
    this.ledger.uid = (key as { metadata: { uid?: string } }).metadata.uid;
  }

  async #remove(remake: boolean): Promise<void> {
    await this.world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'a' });
    this.ledger.uid = undefined;
    this.#isThere = remake;
    this.#spec = firstSpec;
    this.#annotation = undefined;
    this.ledger.isRevoked = false;
    this.ledger.wishes += 1;
    if (remake) await this.#apply();
  }

  async #touch(how: Touch): Promise<void> {
    const secret = await this.world.secret('a-virtualkey');
    if (secret === undefined) return;
    this.ledger.touch();
    this.ledger.wishes += 1;
    if (how === 'deleteSecret') return void (await this.world.cluster.delete({ kind: 'Secret', namespace: 'team', name: 'a-virtualkey' }));
    this.#count += 1;
    const former = how === 'putBack' ? this.#former : undefined;
    const value = former ?? `sk-planted-${this.#count}-abcdefghijklmnopqrstuvwxyz`;
    if (former === undefined) this.ledger.planted.add(sha256Hex(value));
    this.#former = Buffer.from(secret.data?.['token'] ?? secret.data?.['apiKey'] ?? '', 'base64').toString('utf8') || undefined;
    await this.world.cluster.apply({ ...secret, data: { ...secret.data, apiKey: Buffer.from(value).toString('base64') } });
  }

  #former: string | undefined;

  async #wait(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= chunkMs) {
      await this.#collect();
      await this.world.advance(Math.min(left, chunkMs));
      this.ledger.check();
    }
  }

  /** As Kubernetes does: a Secret that a leader which is behind has made for a key that is gone goes as well, though it came later. */
  async #collect(): Promise<void> {
    const owner = (await this.world.secret('a-virtualkey'))?.metadata.ownerReferences?.[0]?.uid;
    if (owner === undefined || owner === (await this.world.key('a'))?.metadata.uid) return;
    await this.world.cluster.delete({ kind: 'Secret', namespace: 'team', name: 'a-virtualkey' });
  }

  async #lead(): Promise<Leader> {
    const leader = new Leader(this.world, this.ledger.onWrite);
    this.#leaders.push(leader);
    await this.world.settle();
    return leader;
  }

  async #bury(leader: Leader): Promise<void> {
    await leader.kill();
    this.writes += leader.writes;
    this.#leaders = this.#leaders.filter((other) => other !== leader);
  }

  async #checkEnd(): Promise<void> {
    const { ledger, world } = this;
    if (ledger.shared().length > 0) ledger.broken.add('two keys are let in with one hash');
    if (ledger.delivered.length > ledger.wishes) ledger.broken.add('a wish for a new key was answered twice');
    if (!this.#isThere) return;
    const { status, reason } = readyOf(await world.key('a'));
    const wanted = ledger.isRevoked ? 'Revoked' : this.#spec.suspended === true ? 'Suspended' : 'Issued';
    if (status !== 'True' || reason !== wanted) ledger.broken.add(`the key ends as ${status} ${reason}, not ${wanted}`);
    if (!ledger.isRevoked) await this.#checkHeld();
  }

  async #checkHeld(): Promise<void> {
    const { ledger, world } = this;
    const record = await world.record('team/a');
    if (record?.handledTrigger !== this.#spec.rotation?.trigger) ledger.broken.add('a trigger was lost');
    const value = (await world.secret('a-virtualkey'))?.data?.[this.#spec.delivery?.secretKey ?? 'apiKey'];
    if (value === undefined) return this.#checkRedacted(record);
    if (this.#spec.suspended !== true && !ledger.accepts(sha256Hex(Buffer.from(value, 'base64'))))
      ledger.broken.add('the key in the Secret is refused');
  }

  #checkRedacted(record: CredentialRecord | undefined): void {
    const isRedacted = record?.credentials.some(({ redactedAt }) => redactedAt !== undefined) === true;
    if (!isRedacted) this.ledger.broken.add('the key is in nobody’s hands');
  }
}
