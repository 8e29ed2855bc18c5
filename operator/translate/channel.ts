import { isDeepStrictEqual } from 'node:util';
import type { ChannelTroubles } from '../../core/channel-report.ts';
import type { Channel, ChannelStatus } from '../../core/resources.ts';
import type { Secret } from '../../core/secret.ts';
import type { ChannelCredential, ChannelRecord } from '../../core/snapshot.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { isForbiddenHost } from '../../runtime/forbidden-address.ts';
import { checkHeaders } from './channel-headers.ts';
import { checkChannelSize, providerDefaults, toChannelRecord, toComparable } from './channel-record.ts';
import { toChannelStatus } from './channel-status.ts';
import type { NamespaceView } from './channel-view.ts';
import { resolveNamespaces } from './channel-view.ts';
import type { TranslateSettings } from './key-input.ts';
import type { Notice, Problem } from './problem.ts';
import { firstProblem } from './problem.ts';
import { secretNotFound } from './secret-ref.ts';

export interface ChannelInput {
  readonly channel: Channel;
  /** the labelled Secrets of its namespace that it names: entries by name, values without surrounding blanks */
  readonly secrets: ReadonlyMap<string, ReadonlyMap<string, Secret>>;
  readonly namespaces: readonly NamespaceView[];
  /** what the proxies have been told */
  readonly published: ChannelRecord | undefined;
  /** why the proxies are not told what they should be; undefined: nothing hinders it */
  readonly hindrance?: string | undefined;
  /** what the proxies tell of it; undefined: nobody has told */
  readonly health?: ChannelTroubles | undefined;
  /** VirtualKeys that may route here */
  readonly usedBy: number;
  readonly settings: Pick<TranslateSettings, 'allowLinkLocal' | 'knowsNamespaces'>;
}

export interface ChannelOutput {
  /** what the proxies must be told; undefined: nothing */
  readonly record: ChannelRecord | undefined;
  readonly status: { readonly value: ChannelStatus; readonly notices: readonly Notice[] };
  readonly settling: boolean;
}

/** From a Channel and what it refers to, to what the proxies are told of it. When something is wrong with it, what was good last stays in force. Pure. */
export function translateChannel(input: ChannelInput, nowMs: number): ChannelOutput {
  const problem = firstProblem(
    [checkProvider, checkNamespaces, checkAddress, checkOwnHeaders, checkCredentials, checkCa, checkSize],
    input,
  );
  const record = decide(input, problem);
  const holds = isSameChannelRecord(input.published, record);
  const hindrance = holds ? undefined : input.hindrance;
  return {
    record,
    status: toChannelStatus(input, { problem, record, holds, hindrance, nowMs }),
    settling: problem === undefined && !holds && hindrance === undefined,
  };
}

function decide(input: ChannelInput, problem: Problem | undefined): ChannelRecord | undefined {
  const { channel, published } = input;
  if (channel.spec.suspended === true) return undefined;
  if (problem === undefined) return toRecord(input);
  return published?.uid === channel.metadata.uid ? published : undefined;
}

/** Equal in everything, credentials included; their plaintext is compared by its hash. */
export function isSameChannelRecord(left: ChannelRecord | undefined, right: ChannelRecord | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  const show = (secret: Secret) => sha256Hex(secret.reveal());
  return isDeepStrictEqual(toComparable(left, show), toComparable(right, show));
}

/** The names of the Secrets that a Channel reads. */
export function toSecretNames({ spec }: Channel): readonly string[] {
  const names = (spec.auth?.apiKeys ?? []).map(({ secretRef }) => secretRef.name);
  return [...new Set([...names, ...(spec.tls?.caSecretRef === undefined ? [] : [spec.tls.caSecretRef.name])])];
}

function checkProvider({ channel }: ChannelInput): Problem | undefined {
  const { provider } = channel.spec;
  if (Object.hasOwn(providerDefaults, provider)) return undefined;
  return {
    reason: 'ProviderUnsupported',
    message: `provider ${provider} is not supported yet; supported: ${Object.keys(providerDefaults).join(', ')}`,
    stalled: true,
  };
}

function checkNamespaces({ channel, settings }: ChannelInput): Problem | undefined {
  if (channel.spec.allowedNamespaces?.from !== 'Selector' || settings.knowsNamespaces) return undefined;
  return {
    reason: 'SelectorUnsupported',
    message: 'allowedNamespaces.from: Selector needs an operator that watches all namespaces',
    stalled: true,
  };
}

/** Only what is written is looked at here; what a name resolves to is checked by the proxy when it connects. */
function checkAddress(input: ChannelInput): Problem | undefined {
  const baseUrl = toBaseUrl(input.channel);
  if (baseUrl === undefined || !URL.canParse(baseUrl)) return notAllowed('spec.baseURL is not an address');
  // The URL parser turns every way to write an IPv4 address into the usual one.
  if (input.settings.allowLinkLocal || !isForbiddenHost(new URL(baseUrl).hostname)) return undefined;
  return notAllowed('spec.baseURL points to a link-local or metadata address, which this installation does not allow');
}

function notAllowed(message: string): Problem {
  return { reason: 'AddressNotAllowed', message, stalled: true };
}

function toBaseUrl({ spec }: Channel): string | undefined {
  const defaults = Object.hasOwn(providerDefaults, spec.provider)
    ? providerDefaults[spec.provider as keyof typeof providerDefaults]
    : undefined;
  const written = spec.baseURL ?? defaults?.baseUrl;
  return written?.replace(/\/+$/, '').replace(/\/v1$/, '');
}

function checkOwnHeaders({ channel }: ChannelInput): Problem | undefined {
  return checkHeaders(channel.spec);
}

function checkCredentials({ channel, secrets }: ChannelInput): Problem | undefined {
  for (const { name, secretRef } of channel.spec.auth?.apiKeys ?? []) {
    const secret = secrets.get(secretRef.name)?.get(secretRef.key);
    if (secret === undefined) return secretNotFound(secretRef.name, secretRef.key);
    // Visible ASCII: anything else cannot stand in a header (RFC 9110, section 5.5).
    if (!/^[\x21-\x7e]+$/.test(secret.reveal())) {
      return {
        reason: 'InvalidCredential',
        message: `auth.apiKeys "${name}": the value is empty or cannot be sent in a header`,
        stalled: false,
      };
    }
  }
  return undefined;
}

const defaultCaEntry = 'ca.crt';

function checkCa({ channel, secrets }: ChannelInput): Problem | undefined {
  const reference = channel.spec.tls?.caSecretRef;
  if (reference === undefined || secrets.get(reference.name)?.has(reference.key ?? defaultCaEntry) === true) return undefined;
  return secretNotFound(reference.name, reference.key ?? defaultCaEntry);
}

/** Of all checks the last one: only what is right has a record. A suspended Channel takes no room. */
function checkSize(input: ChannelInput): Problem | undefined {
  return input.channel.spec.suspended === true ? undefined : checkChannelSize(toRecord(input));
}

function toRecord({ channel, secrets, namespaces }: ChannelInput): ChannelRecord {
  const credentials = (channel.spec.auth?.apiKeys ?? []).map(({ name, weight = 100, secretRef }): ChannelCredential => {
    const secret = secrets.get(secretRef.name)?.get(secretRef.key);
    if (secret === undefined) throw new TypeError('the checks have found every credential');
    return { name, weight, secret };
  });
  const ca = channel.spec.tls?.caSecretRef;
  return toChannelRecord({
    channel,
    provider: channel.spec.provider as keyof typeof providerDefaults,
    baseUrl: toBaseUrl(channel) ?? '',
    credentials,
    ca:
      ca === undefined
        ? undefined
        : secrets
            .get(ca.name)
            ?.get(ca.key ?? defaultCaEntry)
            ?.reveal(),
    namespaces: resolveNamespaces(channel, namespaces),
  });
}
