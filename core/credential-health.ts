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
export type ModelTrouble = 'modelForbidden' | 'modelUnknown';

/** The health of one credential of one channel, as one proxy has seen it. */
export interface CredentialHealth {
  readonly circuit: Circuit;
  /** why it is out, as long as it is */
  readonly trouble: CredentialTrouble | undefined;
  readonly cooldown: Cooldown;
  /** by what was asked for; the one that failed last is the last */
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
};
/** Clients choose the names of models, so what is remembered of them is bounded; the oldest is forgotten first. */
const mostModels = 256;

/** Why a credential cannot be used for a model at this moment, and for how long at least. */
export interface CredentialBlock {
  readonly reason: CredentialTrouble | ModelTrouble | 'throttled';
  readonly waitMs: number;
}

/** Undefined: it can be used. */
export function blockOf(
  { circuit, trouble, cooldown, models }: CredentialHealth,
  model: string,
  nowMs: number,
): CredentialBlock | undefined {
  if (!mayPass(circuit, nowMs)) return { reason: trouble ?? 'credentialDead', waitMs: waitOfCircuit(circuit, nowMs) };
  const known = models.get(model);
  if (known !== undefined && !mayPass(known.circuit, nowMs)) return { reason: known.trouble, waitMs: waitOfCircuit(known.circuit, nowMs) };
  return nowMs < cooldown.untilMs ? { reason: 'throttled', waitMs: cooldown.untilMs - nowMs } : undefined;
}

/** What a request that is about to be sent tries out. */
export interface Probes {
  readonly credential: boolean;
  readonly model: boolean;
}

/** `untilMs`: when it has said at the latest how it went. */
export function enterCredential(health: CredentialHealth, model: string, untilMs: number): { health: CredentialHealth; probes: Probes } {
  const known = health.models.get(model);
  const probes = { credential: health.circuit.openUntilMs !== undefined, model: known !== undefined };
  return {
    health: {
      ...health,
      circuit: probes.credential ? beginProbe(health.circuit, untilMs) : health.circuit,
      models:
        known === undefined ? health.models : withModel(health.models, model, { ...known, circuit: beginProbe(known.circuit, untilMs) }),
    },
    probes,
  };
}

export interface CredentialOutcome {
  readonly model: string;
  readonly probes: Probes;
  /** `well`: an answer of the model; undefined: nothing that speaks of the credential */
  readonly verdict: 'well' | 'throttled' | CredentialTrouble | ModelTrouble | undefined;
  readonly retryAfterMs: number | undefined;
  readonly nowMs: number;
}

/** How a request with this credential went. */
export function recordOutcome(health: CredentialHealth, outcome: CredentialOutcome): CredentialHealth {
  const { model, probes, verdict, retryAfterMs, nowMs } = outcome;
  if (verdict === 'well') return recordWell(health, model, probes);
  const released = release(health, model, probes);
  if (verdict === undefined) return released;
  if (verdict === 'throttled') return { ...released, cooldown: recordThrottle(health.cooldown, retryAfterMs, nowMs) };
  if (verdict === 'modelForbidden' || verdict === 'modelUnknown') {
    const known = health.models.get(model)?.circuit ?? closedCircuit;
    const circuit = recordFailure(known, { rules: modelRules[verdict], isProbe: probes.model, nowMs });
    return { ...released, models: withModel(released.models, model, { circuit, trouble: verdict }) };
  }
  const circuit = recordFailure(health.circuit, { rules: credentialRules, isProbe: probes.credential, nowMs });
  return { ...released, circuit, trouble: verdict };
}

function recordWell(health: CredentialHealth, model: string, probes: Probes): CredentialHealth {
  const { cooldown } = health;
  const circuit = recordSuccess(health.circuit, probes.credential);
  return {
    circuit,
    trouble: circuit === closedCircuit ? undefined : health.trouble,
    cooldown: cooldown.silent === 0 ? cooldown : { ...cooldown, silent: 0 },
    models: probes.model ? withModel(health.models, model, undefined) : health.models,
  };
}

/** Probes that found nothing out; the next request is one. */
function release(health: CredentialHealth, model: string, probes: Probes): CredentialHealth {
  const known = health.models.get(model);
  const isProbed = probes.model && known !== undefined;
  return {
    ...health,
    circuit: probes.credential ? dropProbe(health.circuit) : health.circuit,
    models: isProbed ? withModel(health.models, model, { ...known, circuit: dropProbe(known.circuit) }) : health.models,
  };
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
