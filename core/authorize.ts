import { type Check, firstRefusal } from './decision.ts';
import { compileGlobs } from './glob.ts';
import type { Refusal } from './refusals.ts';
import type { CredentialEntry, KeyRecord, Provider, Scope } from './snapshot.ts';

/** A key's record with its access rules made ready for one look-up each. */
export interface CompiledKey {
  readonly record: KeyRecord;
  allowsModel(model: string): boolean;
  allowsAddress(address: string): boolean;
  allowsScope(scope: Scope): boolean;
  /** `id` is `namespace/name` */
  allowsChannel(id: string): boolean;
  allowsProvider(provider: Provider): boolean;
}

/**
 * Compiles the access rules of a record; an absent rule allows everything.
 * @param allowsAddress whether a client address is in `access.cidrs`: it comes from outside, because matching addresses needs `node:net`
 */
export function compileKey(record: KeyRecord, allowsAddress: (address: string) => boolean): CompiledKey {
  const { models, channels, providers, scopes } = record.access;
  return {
    record,
    allowsAddress,
    allowsModel: models === undefined ? always : compileGlobs(models),
    allowsScope: compileScopes(scopes),
    allowsChannel: compileSet(channels),
    allowsProvider: compileSet(providers),
  };
}

export interface Standing {
  readonly key: CompiledKey;
  /** the one that the client showed */
  readonly credential: CredentialEntry;
  readonly nowMs: number;
}

/** Whether the key may be used at all now; the order is that of how final the reason is. */
export function checkStanding(standing: Standing): Refusal | undefined {
  return firstRefusal(standingChecks, standing);
}

const standingChecks: readonly Check<Standing>[] = [checkRevoked, checkReady, checkSuspended, checkExpiry, checkNotBefore, checkOverlap];

function checkRevoked({ key }: Standing): Refusal | undefined {
  return key.record.state === 'Revoked' ? { code: 'key_revoked', message: 'This key has been revoked.' } : undefined;
}

function checkReady({ key }: Standing): Refusal | undefined {
  return key.record.state === 'NotReady'
    ? { code: 'key_not_ready', message: 'The VirtualKey of this key has not been accepted yet; its conditions say why.' }
    : undefined;
}

function checkSuspended({ key }: Standing): Refusal | undefined {
  return key.record.state === 'Suspended' ? { code: 'key_suspended', message: 'This key is suspended.' } : undefined;
}

function checkExpiry({ key, nowMs }: Standing): Refusal | undefined {
  const { expiresAt } = key.record;
  return expiresAt !== undefined && nowMs >= expiresAt ? { code: 'key_expired', message: 'This key has expired.' } : undefined;
}

function checkNotBefore({ credential, nowMs }: Standing): Refusal | undefined {
  return credential.notBefore !== undefined && nowMs < credential.notBefore
    ? { code: 'key_expired', message: 'This key is not valid yet.' }
    : undefined;
}

function checkOverlap({ credential, nowMs }: Standing): Refusal | undefined {
  // An undelivered key without an end would live for ever if its delivery failed, so a missing end is an end that has passed.
  const notAfter = credential.notAfter ?? (credential.state === 'Pending' ? 0 : undefined);
  if (notAfter === undefined || nowMs < notAfter) return undefined;
  const reason =
    credential.state === 'Retiring' ? 'This key was replaced by a newer one, and the overlap is over.' : 'This key has expired.';
  return { code: 'key_expired', message: reason };
}

/** Whether the key may be used from this client address. The refusal does not tell which ranges it may be used from. */
export function checkAddress(key: CompiledKey, address: string): Refusal | undefined {
  return key.allowsAddress(address) ? undefined : { code: 'ip_not_allowed', message: 'This key may not be used from this address.' };
}

/** Whether the key may call endpoints of this scope. */
export function checkScope(key: CompiledKey, scope: Scope): Refusal | undefined {
  return key.allowsScope(scope)
    ? undefined
    : { code: 'scope_not_allowed', message: `This key may not call endpoints of the scope "${scope}".` };
}

/** Whether the key may use every one of the models that a request names. */
export function checkModels(key: CompiledKey, models: readonly string[]): Refusal | undefined {
  const forbidden = models.find((model) => !key.allowsModel(model));
  if (forbidden === undefined) return undefined;
  return { code: 'model_not_allowed', message: `This key may not use the model "${forbidden}".`, param: 'model' };
}

function always(): boolean {
  return true;
}

function compileSet<T>(values: readonly T[] | undefined): (value: T) => boolean {
  if (values === undefined) return always;
  const allowed = new Set(values);
  return (value) => allowed.has(value);
}

function compileScopes(scopes: readonly Scope[] | undefined): (scope: Scope) => boolean {
  if (scopes === undefined || scopes.includes('full')) return always;
  // Who may generate text may also see with which models: SDKs and tools list them first.
  return compileSet(scopes.includes('chat') ? [...scopes, 'read'] : scopes);
}
