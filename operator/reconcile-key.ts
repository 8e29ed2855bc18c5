import { isDeepStrictEqual } from 'node:util';
import type { VirtualKey } from '../core/resources.ts';
import type { KeyRecord } from '../core/snapshot.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Absences } from './absences.ts';
import type { Cluster, SecretObject, WriteOutcome } from './cluster/cluster.ts';
import { isRefusal } from './credentials/credential-store.ts';
import type { DeliveryPlan } from './credentials/delivery-secret.ts';
import { findKey, toDeliverySecret, toOwner } from './credentials/delivery-secret.ts';
import type { Gatherer } from './gather.ts';
import type { Attempts } from './credentials/issue-key.ts';
import type { ChannelReports } from './channels/channel-reports.ts';
import type { LastUsedMirror } from './credentials/last-used.ts';
import type { Publisher } from './snapshot/publish.ts';
import type { Revocations } from './revocation/revocations.ts';
import type { Settling } from './revocation/settling.ts';
import type { StatusWriter } from './status-writer.ts';
import type { UsageKeeper } from './usage/usage-keeper.ts';
import { translateKey } from './translate/key.ts';
import type { KeyInput, KeyOutput, TranslateSettings } from './translate/key-input.ts';
import { toTombstone } from './translate/lifecycle.ts';
import type { Notice } from './translate/problem.ts';
import { isContradicted, toDeleted, toEndedCredentials } from './translate/revocation.ts';
import { toEnding, toKnownOnly } from './translate/withdrawal.ts';
import type { Watches } from './watches.ts';

export interface ReconcileOptions {
  readonly cluster: Cluster;
  readonly watches: Watches;
  readonly gatherer: Gatherer;
  readonly publisher: Publisher;
  readonly absences: Absences;
  readonly attempts: Attempts;
  readonly statuses: StatusWriter;
  readonly clock: Clock;
  readonly settings: TranslateSettings & { readonly keyPrefix: string };
  readonly revocations: Pick<Revocations, 'standing' | 'see' | 'tell'>;
  readonly settling: Pick<Settling, 'await'>;
  readonly lastUsed: Pick<LastUsedMirror, 'of'>;
  readonly channelReports: Pick<ChannelReports, 'of'>;
  readonly usage: Pick<UsageKeeper, 'statusOf'> | undefined;
  readonly again: (item: string, delayMs: number) => void;
}

/** More writes in a row than any key needs; a bound against two writers that undo each other. */
const mostSteps = 16;

/** A status that will be over within this is not written. */
const settlingMs = 3_000;

/** After losing against another writer: until then the watch has told what it wrote. */
const conflictMs = 500;

/**
 * One key, from level: gather, decide, write one thing, and again from the start until there is nothing to write. No worker waits for anything: what takes time
 * (publication, settling, an overlap) brings the key back later.
 */
export class KeyReconciler {
  readonly #options: ReconcileOptions;
  /** keys whose delivery Secret was refused by the API server */
  readonly #refused = new Set<string>();
  readonly #settlingSince = new Map<string, number>();

  constructor(options: ReconcileOptions) {
    this.#options = options;
  }

  async reconcile(id: string): Promise<void> {
    for (let step = 0; step < mostSteps; step += 1) {
      const virtualKey = await this.#find(id);
      if (virtualKey === 'unknown') return;
      if (virtualKey === undefined) return this.#end(id);
      this.#options.revocations.see(virtualKey, { mayLift: true });
      const input = await this.#gather(virtualKey, id);
      const output = translateKey(input, this.#options.clock.now());
      if (!(await this.#act(id, input, output))) return this.#finish(id, input, output);
    }
    this.#options.again(`VirtualKey/${id}`, conflictMs);
  }

  /**
   * A key that is missing without a watch having told so is asked for, which brings it back here: a list that came back too short must not end keys. One that contradicts what
   * stands beside the snapshot is asked for at once.
   */
  async #find(id: string): Promise<VirtualKey | 'unknown' | undefined> {
    const { watches, absences, cluster, revocations } = this.#options;
    const [namespace = '', name = ''] = id.split('/');
    await this.#lookAnew(id);
    let found = watches.virtualKeys.get(namespace, name);
    if (found === undefined) return absences.isGone(`VirtualKey/${id}`) ? undefined : 'unknown';
    if (isContradicted(found, watches.credentials.get(id), revocations.standing(id))) {
      found = await cluster.get<VirtualKey>({ kind: 'VirtualKey', namespace, name });
      if (found !== undefined) watches.virtualKeys.wrote(found);
    }
    return found?.metadata.deletionTimestamp === undefined ? found : undefined;
  }

  /** Over whom there was a dispute with another writer of the snapshot: the watches may be behind. */
  async #lookAnew(id: string): Promise<void> {
    const { watches, publisher, again } = this.#options;
    const dispute = publisher.dispute('keys', id);
    if (dispute === undefined) return;
    // Whether it is there at all is nothing to have different views of: an end does not wait.
    if (dispute.waitMs > 0 && watches.holds(`VirtualKey/${id}`)) return again(`VirtualKey/${id}`, dispute.waitMs);
    await watches.credentials.confirm(id);
    await watches.reread('VirtualKey', id);
    dispute.settle();
  }

  async #gather(virtualKey: VirtualKey, id: string): Promise<KeyInput> {
    const { watches, gatherer, publisher, attempts, revocations, lastUsed, usage, settings } = this.#options;
    const { credential } = virtualKey.spec;
    const isGenerated = credential === undefined || credential.generate !== undefined;
    return {
      virtualKey,
      delivery: isGenerated ? await gatherer.delivery(virtualKey) : undefined,
      source: await gatherer.source(virtualKey),
      deliveryRefused: this.#refused.has(id),
      record: watches.credentials.get(id),
      channels: watches.channelViews(),
      claims: watches.claims,
      published: this.#published(id),
      hindrance: publisher.hindrance('keys', id),
      attempt: attempts.get(id),
      standing: revocations.standing(id),
      lastUsed: lastUsed.of(id),
      usage: usage?.statusOf(id),
      settings,
    };
  }

  /** Whoever has a key to deliver is told when the proxies have it. */
  #published(id: string): KeyInput['published'] {
    const { publisher, attempts, settling } = this.#options;
    const published = publisher.key(id);
    if (published === undefined || attempts.get(id) === undefined) return published;
    return { ...published, settlement: settling.await(id) };
  }

  /** @returns whether something was done, so that the world has to be looked at again */
  async #act(id: string, input: KeyInput, output: KeyOutput): Promise<boolean> {
    const { attempts, settings, watches } = this.#options;
    const { virtualKey } = input;
    // What is taken away is taken away first, whatever becomes of the other writes; what is given comes after it has been recorded.
    if (output.urgent)
      this.#publish(
        id,
        input,
        output,
        output.hashedSecret === undefined ? output.record : toKnownOnly(output.record, input.published?.record),
      );
    if (output.dropAttempt) attempts.drop(id);
    if (output.issue) {
      attempts.make(id, virtualKey.spec.credential?.generate?.prefix ?? settings.keyPrefix);
      return true;
    }
    if (output.hashedSecret !== undefined) {
      const outcome = await watches.credentials.write(output.hashedSecret.record);
      if (outcome === 'written') this.#tell(virtualKey, output.hashedSecret.notices);
      return true;
    }
    this.#publish(id, input, output, output.record);
    if (output.delivery !== undefined) {
      await this.#deliver(id, input, output.delivery);
      return true;
    }
    return output.dropAttempt;
  }

  /** Single credentials that end now; of a key that ends as a whole every replica has told. */
  #tellEnded(published: KeyRecord | undefined, restricted: KeyRecord | undefined): void {
    const { revocations, clock } = this.#options;
    const ended = toEndedCredentials(published, restricted, clock.now());
    if (published === undefined || ended.length === 0) return;
    const { id: keyId, uid, gen } = published;
    revocations.tell({ keyId, uid, gen, state: published.state === 'Suspended' ? 'Suspended' : 'Active', ended: ended.toSorted() });
  }

  #publish(id: string, input: KeyInput, output: KeyOutput, record: KeyRecord | undefined): void {
    const published = input.published?.record;
    if (record === undefined && published !== undefined) return this.#withdraw(id, input, output, published);
    if (output.urgent) this.#tellEnded(published, record);
    this.#options.publisher.setKey(id, record, { urgent: output.urgent });
  }

  /** What nobody has ended waits for the guard, with what was ended taken out of it. */
  #withdraw(id: string, input: KeyInput, { urgent, hashedSecret }: KeyOutput, published: KeyRecord): void {
    const { publisher, clock } = this.#options;
    const ending = toEnding(published, { record: hashedSecret?.record ?? input.record, claims: input.claims, nowMs: clock.now() });
    const left = ending === 'all' ? undefined : ending;
    if (ending !== undefined) {
      if (urgent) this.#tellEnded(published, left);
      publisher.setKey(id, left, { urgent });
    }
    // Before it is recorded it is not sure either.
    if (ending !== 'all' && hashedSecret === undefined) publisher.setKey(id, undefined, { unasked: true });
  }

  /** Whoever else believes to lead may have issued a key meanwhile: it must not be replaced by ours, which was made for the same wish. */
  async #deliver(id: string, input: KeyInput, plan: DeliveryPlan): Promise<void> {
    if (await this.#options.watches.credentials.confirm(id)) await this.#fill(id, input, plan);
  }

  async #fill(id: string, input: KeyInput, plan: DeliveryPlan): Promise<void> {
    const { gatherer, attempts } = this.#options;
    const { virtualKey } = input;
    const before = plan.mode === 'create' ? undefined : await this.#readBefore(input, plan);
    const key = plan.keyHash === undefined ? undefined : (attempts.secretOf(id, plan.keyHash) ?? findKey(before, plan.keyHash));
    const hasChanged = (plan.mode === 'replace' && before === undefined) || (plan.keyHash !== undefined && key === undefined);
    if (hasChanged) return gatherer.forgetDelivery(virtualKey);
    const outcome = await this.#writeDelivery(id, virtualKey, toDeliverySecret({ plan, key, virtualKey, before }));
    if (outcome.outcome === 'written') {
      this.#tell(virtualKey, plan.notices ?? []);
      return gatherer.wroteDelivery(virtualKey, outcome.object);
    }
    // Somebody else was faster: the loser's key is given up, and what is there now is looked at.
    if (plan.mode === 'create') attempts.drop(id);
    gatherer.forgetDelivery(virtualKey);
  }

  async #writeDelivery(id: string, virtualKey: VirtualKey, secret: SecretObject): Promise<WriteOutcome<SecretObject>> {
    const { cluster, gatherer } = this.#options;
    try {
      const outcome = await (secret.metadata.resourceVersion === undefined ? cluster.create(secret) : cluster.replace(secret));
      this.#refused.delete(id);
      return outcome;
    } catch (error) {
      gatherer.forgetDelivery(virtualKey);
      if (isRefusal(error)) await this.#tellRefused(id, virtualKey);
      throw error;
    }
  }

  async #readBefore({ virtualKey, delivery }: KeyInput, plan: DeliveryPlan): Promise<SecretObject | undefined> {
    const reference = { kind: 'Secret', namespace: virtualKey.metadata.namespace ?? '', name: plan.layout.name } as const;
    const secret = await this.#options.cluster.get<SecretObject>(reference);
    // Whose it is is asked once more: nothing but this look stands between a mistake and somebody else's Secret.
    const isSame = secret?.metadata.resourceVersion === delivery?.resourceVersion;
    return secret !== undefined && isSame && toOwner(secret, virtualKey) === 'this' ? secret : undefined;
  }

  async #tellRefused(id: string, virtualKey: VirtualKey): Promise<void> {
    this.#refused.add(id);
    const input = await this.#gather(virtualKey, id);
    await this.#writeStatus(id, input, translateKey(input, this.#options.clock.now()));
  }

  async #finish(id: string, input: KeyInput, output: KeyOutput): Promise<void> {
    const { clock, again } = this.#options;
    const nowMs = clock.now();
    if (output.wakeAt !== undefined) again(`VirtualKey/${id}`, output.wakeAt - nowMs);
    if (!output.settling) this.#settlingSince.delete(id);
    else {
      const sinceMs = this.#settlingSince.get(id) ?? nowMs;
      this.#settlingSince.set(id, sinceMs);
      if (nowMs - sinceMs < settlingMs) return again(`VirtualKey/${id}`, sinceMs + settlingMs - nowMs);
    }
    await this.#writeStatus(id, input, output);
  }

  async #writeStatus(id: string, { virtualKey }: KeyInput, output: KeyOutput): Promise<void> {
    const { statuses, watches } = this.#options;
    if (isDeepStrictEqual(virtualKey.status, output.status.value)) return;
    const written = await statuses.write(`VirtualKey/${id}`, virtualKey, output.status.value);
    if (written === undefined) return;
    watches.virtualKeys.wrote(written);
    this.#tell(virtualKey, output.status.notices);
  }

  /** The VirtualKey is gone: no proxy may know it any more, and its record becomes a tombstone. */
  async #end(id: string): Promise<void> {
    const { publisher, gatherer, attempts, watches, clock, again } = this.#options;
    publisher.setKey(id, undefined, { urgent: true });
    attempts.drop(id);
    gatherer.forget(id);
    this.#refused.delete(id);
    this.#settlingSince.delete(id);
    const record = watches.credentials.get(id);
    if (record === undefined || record === 'invalid' || record.deletedAt !== undefined) return;
    this.#options.revocations.tell(toDeleted(record));
    const outcome = await watches.credentials.write(toTombstone(record, clock.now(), watches.claims));
    if (outcome === 'conflict') again(`VirtualKey/${id}`, conflictMs);
  }

  #tell(virtualKey: VirtualKey, notices: readonly Notice[]): void {
    for (const notice of notices) this.#options.cluster.recordEvent({ regarding: virtualKey, ...notice });
  }
}
