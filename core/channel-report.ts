import { parseJson } from './json.ts';
import type { CredentialTrouble } from './credential-health.ts';
import { list, object, oneOf, readShape, text } from './shape.ts';

/** What is wrong with a channel as one proxy sees it. Only what no single tenant can bring about, and no name that a client has chosen. */
export interface ChannelTroubles {
  readonly id: string;
  readonly breaker: 'open' | 'closed';
  readonly credentials: readonly { readonly name: string; readonly trouble: CredentialTrouble }[];
}

/** proxy → until (Redis' clock, milliseconds since 1970), a blank, and its troubles; nothing of a proxy that has none */
export const channelReportsKey = 'kw:{00}:channel-reports';
export const reportEveryMs = 2_000;
/** One that is silent for so long is gone, or has nothing to tell. */
export const reportLastsMs = 10_000;

const troubles = list(
  object<ChannelTroubles>({
    id: text(),
    breaker: oneOf('open', 'closed'),
    credentials: list(object<ChannelTroubles['credentials'][number]>({ name: text(), trouble: oneOf('credentialDead', 'accountBroke') })),
  }),
);

/** A report as it stands in Redis; undefined when it is over, or none that could have been written. */
export function parseChannelReport(value: string, nowMs: number): readonly ChannelTroubles[] | undefined {
  const [, until, json] = /^(\d{1,15}) (.+)$/s.exec(value) ?? [];
  if (json === undefined || Number(until) <= nowMs) return undefined;
  const read = readShape(troubles, parseJson(json));
  return read.ok ? read.value : undefined;
}

/** What any of the proxies says, by channel; in a fixed order, so that the same state is the same value. */
export function foldReports(reports: readonly ChannelTroubles[]): ReadonlyMap<string, ChannelTroubles> {
  const folded = new Map<string, ChannelTroubles>();
  for (const report of reports) {
    const known = folded.get(report.id);
    const credentials = new Map([...(known?.credentials ?? []), ...report.credentials].map((each) => [each.name, each]));
    folded.set(report.id, {
      id: report.id,
      breaker: known?.breaker === 'open' ? 'open' : report.breaker,
      credentials: [...credentials.values()].toSorted((left, right) => (left.name < right.name ? -1 : 1)),
    });
  }
  return folded;
}
