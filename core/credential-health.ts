import {
  beginProbe,
  type Circuit,
  type CircuitRules,
  closedCircuit,
  dropProbe,
  mayPass,
  recordFailure,
  recordSuccess,
  waitOfCircuit,
} from './circuit.ts';
import { type Cooldown, noCooldown, recordThrottle } from './cooldown.ts';

/** What can be wrong with one credential, and with a model on it. */
export type CredentialTrouble = 'credentialDead' | 'accountBroke';
export type ModelTrouble = 'modelForbidden' | 'modelUnknown' | 'quotaSpent';

/** The health of one credential of one channel, as one proxy has seen it. */
export interface CredentialHealth {
  readonly circuit: Circuit;
  /** why it is out, as long as it is */
  readonly trouble: CredentialTrouble | undefined;
  readonly cooldown: Cooldown;
  /** by what was asked for, by anybody or by one tenant (`namesOf`); the one that failed last is the last */
  readonly models: ReadonlyMap<string, ModelHealth>;
}

interface ModelHealth {
  readonly circuit: Circuit;
  readonly trouble: ModelTrouble;
}

export const wellCredential: CredentialHealth = { circuit: closedCircuit, trouble: undefined, cooldown: noCooldown, models: new Map() };

/** The first try comes soon, because a provider that mistakes a good key for a bad one does so for seconds; a key that is really dead is asked about every ten minutes. */
const credentialRules: CircuitRules = { failuresToOpen: 1, openMs: 10_000, longestOpenMs: 600_000 };
const modelRules: Readonly<Record<ModelTrouble, CircuitRules>> = {
  modelForbidden: { failuresToOpen: 1, openMs: 60_000, longestOpenMs: 3_600_000 },
  // a model may be a minute old
  modelUnknown: { failuresToOpen: 1, openMs: 15_000, longestOpenMs: 300_000 },
  // whatever the provider says: a day, often, and a request that was too large gets the same answer
  quotaSpent: { failuresToOpen: 1, openMs: 10_000, longestOpenMs: 300_000 },
};
/** Clients choose the names of models, so what is remembered of them is bounded; the oldest is forgotten first. */
const mostModels = 256;

/** Who asks for what. */
export interface Asker {
  readonly model: string;
  /** namespace of the key */
  readonly tenant: string;
}

/** What is known of the model for everybody, and for this tenant alone. */
function namesOf(asker: Asker): readonly string[] {
  return [asker.model, ownNameOf(asker)];
}

function ownNameOf({ model, tenant }: Asker): string {
  return `${tenant}\n${model}`;
}

/** Why a credential cannot be used for a model at this moment, and for how long at least. */
export interface CredentialBlock {
  readonly reason: CredentialTrouble | ModelTrouble | 'throttled';
  readonly waitMs: number;
}

/** Undefined: it can be used. */
export function blockOf(
  { circuit, trouble, cooldown, models }: CredentialHealth,
  asker: Asker,
  nowMs: number,
): CredentialBlock | undefined {
  if (!mayPass(circuit, nowMs)) return { reason: trouble ?? 'credentialDead', waitMs: waitOfCircuit(circuit, nowMs) };
  const closed = namesOf(asker)
    .flatMap((name) => models.get(name) ?? [])
    .find((known) => !mayPass(known.circuit, nowMs));
  if (closed !== undefined) return { reason: closed.trouble, waitMs: waitOfCircuit(closed.circuit, nowMs) };
  return nowMs < cooldown.untilMs ? { reason: 'throttled', waitMs: cooldown.untilMs - nowMs } : undefined;
}

/** What a request that is about to be sent tries out. */
export interface Probes {
  readonly credential: boolean;
  /** names in `models` */
  readonly models: readonly string[];
}

export const noProbes: Probes = { credential: false, models: [] };

/** `untilMs`: when it has said at the latest how it went. */
export function enterCredential(health: CredentialHealth, asker: Asker, untilMs: number): { health: CredentialHealth; probes: Probes } {
  const probes = { credential: health.circuit.openUntilMs !== undefined, models: namesOf(asker).filter((name) => health.models.has(name)) };
  return {
    health: {
      ...health,
      circuit: probes.credential ? beginProbe(health.circuit, untilMs) : health.circuit,
      models: changeCircuits(health.models, probes.models, (circuit) => beginProbe(circuit, untilMs)),
    },
    probes,
  };
}

export interface CredentialOutcome extends Asker {
  readonly probes: Probes;
  /** `well`: an answer of the model; undefined: nothing that speaks of the credential */
  readonly verdict: 'well' | 'throttled' | CredentialTrouble | ModelTrouble | undefined;
  readonly retryAfterMs: number | undefined;
  readonly nowMs: number;
}

/** How a request with this credential went. */
export function recordOutcome(health: CredentialHealth, outcome: CredentialOutcome): CredentialHealth {
  const { probes, verdict, retryAfterMs, nowMs } = outcome;
  if (verdict === 'well') return recordWell(health, probes);
  const released = release(health, probes);
  if (verdict === undefined) return released;
  if (verdict === 'throttled') return { ...released, cooldown: recordThrottle(health.cooldown, retryAfterMs, nowMs) };
  if (isModelTrouble(verdict)) return { ...released, models: withTrouble(health, released.models, { ...outcome, verdict }) };
  const circuit = recordFailure(health.circuit, { rules: credentialRules, isProbe: probes.credential, nowMs });
  return { ...released, circuit, trouble: verdict };
}

function isModelTrouble(verdict: CredentialTrouble | ModelTrouble): verdict is ModelTrouble {
  return Object.hasOwn(modelRules, verdict);
}

/** A quota that does not hold a request may be spent, or too small for that one request: it is closed to the tenant whose request it was, and every other one finds out for itself. */
function withTrouble(
  { models }: CredentialHealth,
  released: CredentialHealth['models'],
  { verdict, probes, nowMs, ...asker }: CredentialOutcome & { readonly verdict: ModelTrouble },
): CredentialHealth['models'] {
  const name = verdict === 'quotaSpent' ? ownNameOf(asker) : asker.model;
  const known = models.get(name)?.circuit ?? closedCircuit;
  const circuit = recordFailure(known, { rules: modelRules[verdict], isProbe: probes.models.includes(name), nowMs });
  return withModel(released, name, { circuit, trouble: verdict });
}

function recordWell(health: CredentialHealth, probes: Probes): CredentialHealth {
  const { cooldown } = health;
  const circuit = recordSuccess(health.circuit, probes.credential);
  return {
    circuit,
    trouble: circuit === closedCircuit ? undefined : health.trouble,
    cooldown: cooldown.silent === 0 ? cooldown : { ...cooldown, silent: 0 },
    models: probes.models.reduce((models, name) => withModel(models, name, undefined), health.models),
  };
}

/** Probes that found nothing out; the next request is one. */
function release(health: CredentialHealth, probes: Probes): CredentialHealth {
  return {
    ...health,
    circuit: probes.credential ? dropProbe(health.circuit) : health.circuit,
    models: changeCircuits(health.models, probes.models, dropProbe),
  };
}

function changeCircuits(
  models: CredentialHealth['models'],
  names: readonly string[],
  change: (circuit: Circuit) => Circuit,
): CredentialHealth['models'] {
  return names.reduce((changed, name) => {
    const known = changed.get(name);
    return known === undefined ? changed : withModel(changed, name, { ...known, circuit: change(known.circuit) });
  }, models);
}

function withModel(models: CredentialHealth['models'], model: string, next: ModelHealth | undefined): CredentialHealth['models'] {
  const after = new Map(models);
  after.delete(model);
  if (next !== undefined) after.set(model, next);
  for (const oldest of after.keys()) {
    if (after.size <= mostModels) break;
    after.delete(oldest);
  }
  return after;
}
