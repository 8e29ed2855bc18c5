import type { ChannelTroubles } from '../../core/channel-report.ts';
import type { CredentialTrouble } from '../../core/credential-health.ts';
import type { Channel, ChannelStatus, Condition } from '../../core/resources.ts';
import type { NextCondition } from '../conditions.ts';
import { type Notice, toWarning } from './problem.ts';
import type { Reason } from './reasons.ts';

const types = ['Healthy', 'CredentialsHealthy'] as const;

const troubles: Readonly<Record<CredentialTrouble, { readonly reason: Reason; readonly words: string }>> = {
  credentialDead: { reason: 'CredentialRejected', words: 'is refused by the provider' },
  accountBroke: { reason: 'AccountExhausted', words: 'has no money or quota left' },
};

/** How the channel is, as the proxies tell. Undefined: nobody has told yet, and what was said before stays. */
export function toHealthConditions({ spec, status }: Channel, told: ChannelTroubles | undefined): NextCondition[] {
  if (told === undefined) return (status?.conditions ?? []).flatMap(toKept);
  const names = (spec.auth?.apiKeys ?? []).map(({ name }) => name);
  const out = told.credentials.filter(({ name }) => names.includes(name));
  const credentials = toCredentials(out);
  return names.length === 0
    ? [toHealthy(told, undefined)]
    : [toHealthy(told, out.length === names.length ? credentials : undefined), credentials];
}

function toHealthy({ breaker }: ChannelTroubles, withoutAny: NextCondition | undefined): NextCondition {
  if (withoutAny !== undefined)
    return { type: 'Healthy', status: 'False', reason: withoutAny.reason, message: `no credential can be used: ${withoutAny.message}` };
  if (breaker === 'open')
    return {
      type: 'Healthy',
      status: 'False',
      reason: 'CircuitOpen',
      message: 'requests have failed one after the other; until one goes well, no more are sent there by at least one proxy',
    };
  return { type: 'Healthy', status: 'True', reason: 'NoTrouble', message: 'no proxy has trouble with the provider' };
}

function toCredentials(out: ChannelTroubles['credentials']): NextCondition {
  const [first] = out;
  if (first === undefined)
    return { type: 'CredentialsHealthy', status: 'True', reason: 'NoTrouble', message: 'no proxy has trouble with a credential' };
  const message = out.map(({ name, trouble }) => `credential "${name}" ${troubles[trouble].words}`).join('; ');
  return { type: 'CredentialsHealthy', status: 'False', reason: troubles[first.trouble].reason, message };
}

function toKept({ type, status, reason, message }: Condition): NextCondition[] {
  const known = types.find((each) => each === type);
  return known === undefined ? [] : [{ type: known, status, reason: reason as Reason, message }];
}

/** A Warning for what has become wrong. */
export function toHealthNotices(before: ChannelStatus, after: ChannelStatus): Notice[] {
  return types.flatMap((type) => {
    const [was, is] = [before, after].map(({ conditions }) => conditions?.find((condition) => condition.type === type));
    const isNew = is?.status === 'False' && (was?.status !== 'False' || was.reason !== is.reason);
    return isNew ? [toWarning(is.reason, is.message)] : [];
  });
}
