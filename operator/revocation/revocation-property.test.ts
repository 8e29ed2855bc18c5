import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeRevocations, overruling, type Revocation, toRevocationField } from '../../core/revocation.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import { type LateCluster, makeLateCluster } from '../../test/fake/late-cluster.ts';
import { makeSharedRevocations, type SharedRevocations } from '../../test/fake/revocation-board.ts';
import type { Operator } from '../operator.ts';
import { World } from '../test-world.ts';

type Step = 'suspend' | 'resume' | 'revoke' | 'hold' | 'release' | 'outage' | 'return' | 'flush' | 'wait' | 'restart';

/** A proxy that lost the API server at the beginning: it has the first record, and of what stands in Redis all that it ever heard. */
class CutProxy {
  readonly #held = new Map<string, Revocation>();

  hear(shared: SharedRevocations): void {
    if (!shared.reachable) return;
    for (const revocation of shared.entries.values()) {
      const field = toRevocationField(revocation);
      const known = this.#held.get(field);
      this.#held.set(field, known === undefined ? revocation : mergeRevocations(known, revocation));
    }
  }

  says(record: KeyRecord): string | undefined {
    return [...this.#held.values()].map((revocation) => overruling(revocation, record, record.credentials[0]?.id ?? '')).find(Boolean);
  }
}

class Scene {
  readonly world = new World();
  readonly shared = makeSharedRevocations();
  readonly proxy = new CutProxy();
  readonly late: LateCluster = makeLateCluster(this.world.cluster);
  standby: Operator | undefined;
  record: KeyRecord | undefined;
  suspended = false;
  revoked = false;

  async begin(): Promise<void> {
    this.world.board = this.shared.board();
    await this.world.start();
    await this.#apply();
    await this.world.advance(5_000);
    this.record = this.world.publishedKey('team/a');
    this.world.board = this.shared.board();
    this.standby = this.world.startReplica(this.late.cluster);
    await this.world.settle();
  }

  readonly #actions: Readonly<Record<Step, () => Promise<unknown> | void>> = {
    suspend: () => this.#apply({ suspended: true }),
    resume: () => this.#apply({ suspended: false }),
    revoke: () => this.#apply({ revoked: true }),
    hold: () => this.late.hold(),
    release: () => this.late.release(),
    outage: () => void (this.shared.reachable = false),
    return: () => this.shared.reconnect(),
    flush: () => this.shared.entries.clear(),
    wait: () => this.world.advance(7_000),
    restart: () => this.#restart(),
  };

  get wanted(): 'Revoked' | 'Suspended' | 'Active' {
    return this.revoked ? 'Revoked' : this.suspended ? 'Suspended' : 'Active';
  }

  async take(step: Step): Promise<void> {
    await this.#actions[step]();
    await this.world.advance(0);
    this.proxy.hear(this.shared);
  }

  async end(): Promise<void> {
    this.late.release();
    this.shared.reconnect();
    await this.world.advance(10_000);
    this.proxy.hear(this.shared);
  }

  async stop(): Promise<void> {
    const stopped = this.standby?.stop();
    await this.world.settle();
    await stopped;
    await this.world.stop();
  }

  async #restart(): Promise<void> {
    await this.world.stop();
    this.world.board = this.shared.board();
    await this.world.start();
  }

  #apply({ suspended = this.suspended, revoked = this.revoked } = {}): Promise<unknown> {
    Object.assign(this, { suspended, revoked });
    const credential = { hashes: [{ hash: `sha256:${'a'.repeat(64)}` }] };
    return this.world.applyKey('a', { credential, suspended, ...(revoked ? { revoked } : {}) });
  }
}

const steps = fc.constantFrom<Step>(
  'suspend',
  'resume',
  'suspend',
  'resume',
  'revoke',
  'hold',
  'release',
  'outage',
  'return',
  'flush',
  'wait',
  'restart',
);

/** The leader sees everything at once, so what it takes away is heard at once wherever Redis is. */
function checkStep(scene: Scene, record: KeyRecord, step: Step): void {
  if (!scene.shared.reachable) return;
  if (step === 'revoke') expect(scene.proxy.says(record)).toBe('Revoked');
  if (step === 'suspend' && !scene.revoked) expect(scene.proxy.says(record)).toBe('Suspended');
}

function checkEnd(scene: Scene, record: KeyRecord): void {
  const { wanted, proxy, world, shared } = scene;
  const published = world.publishedKey('team/a');
  expect(published?.state).toBe(wanted);
  // whoever has the snapshot is told nothing else by what stands
  if (published !== undefined) expect(proxy.says(published) ?? 'Active').toBe(wanted === 'Revoked' ? 'Revoked' : 'Active');
  // and for whoever has not, what is over is over as well
  if (wanted !== 'Suspended' || shared.entries.size > 0) expect(proxy.says(record) ?? 'Active').toBe(wanted);
}

async function follow(plan: readonly Step[]): Promise<void> {
  const scene = new Scene();
  try {
    await scene.begin();
    const { record } = scene;
    if (record === undefined) throw new Error('not published');
    for (const step of plan) {
      await scene.take(step);
      checkStep(scene, record, step);
    }
    await scene.end();
    checkEnd(scene, record);
  } finally {
    await scene.stop();
  }
}

describe('a leader and a standby whose views lag', () => {
  it.each<[string, Step[]]>([
    ['revoked', ['outage', 'hold', 'revoke', 'restart']],
    ['suspended', ['suspend', 'resume', 'outage', 'hold', 'suspend', 'restart']],
    ['resumed, after Redis had forgotten that it was suspended', ['suspend', 'flush', 'outage', 'resume', 'restart']],
  ])('tell that a key was %s by one that ended while Redis was away, when nobody else had seen it', (_, plan) => follow(plan));

  it('agree in the end, and never let a revoked key live on', async () => {
    await fc.assert(fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 14 }), follow), {
      numRuns: Number(process.env['KEYWRIGHT_PROPERTY_RUNS'] ?? '60'),
    });
  }, 120_000);
});
