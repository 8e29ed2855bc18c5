import type { Call } from './call.ts';
import { type Client, clients } from './clients.ts';
import type { Gateways } from './gateways.ts';
import { textOf } from './keys.ts';
import { type Arguments, type Method, methods, nameOf } from './methods.ts';
import type { ReplayingProvider } from './provider.ts';
import { nameOfCase, type RefusalCase, refusalCases, tiresomeNetwork } from './refusal-cases.ts';

/** One row of the whole: a client, one of its methods, and what it runs into; nothing: it is served. */
export interface Cell {
  readonly id: string;
  readonly client: Client;
  readonly method: Method;
  readonly refusal: RefusalCase | undefined;
  /** where it seems to come from; the gateways' lines are found by it */
  readonly address: string;
  /** the object that it asks for, if it is one that does */
  readonly objectId: string;
}

export function toCells(): Cell[] {
  const pairs = clients.flatMap((client) =>
    methods.filter(({ families }) => families.includes(client.family)).map((method) => ({ client, method })),
  );
  const cells = pairs.flatMap(({ client, method }) =>
    [...(method.by === 'nobody' ? [] : [undefined]), ...refusalCases.filter((refusal) => refusal.applies(method))].map((refusal) => ({
      client,
      method,
      refusal,
    })),
  );
  return cells.map((cell, index) => ({
    ...cell,
    id: `${cell.client.id} ${nameOf(cell.method)} ${toWhat(cell)}`,
    address: toAddress(cell.refusal, index),
    objectId: cell.refusal === undefined ? `resp_of_cell_${index}` : 'resp_of_somebody_else',
  }));
}

const toWhat = ({ refusal }: Pick<Cell, 'refusal'>): string => (refusal === undefined ? 'served' : nameOfCase(refusal));

/** An address for each cell. Unknown keys are counted by network, so that most cells need one of their own and some share one. */
function toAddress(refusal: RefusalCase | undefined, index: number): string {
  if (refusal?.gateway === 'stopped clock') return `${tiresomeNetwork}${(index + 1).toString(16)}`;
  return `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
}

export function toCall({ id, client, method, refusal, address, objectId }: Cell, gateways: Gateways): Call {
  const key = typeof refusal?.key === 'function' ? refusal.key(method) : (refusal?.key ?? 'open');
  const headers = { 'x-forwarded-for': address, ...refusal?.headers?.(client) };
  return makeCall({ id, client, method, objectId }, { url: toUrl(refusal, gateways), key: textOf(key), headers, refusal });
}

function toUrl(refusal: RefusalCase | undefined, gateways: Gateways): string {
  if (refusal?.code === 'headers_too_large') return gateways.tapped;
  return `${gateways.address(refusal?.gateway ?? 'usual')}${refusal?.path ?? ''}`;
}

/** The same call without a gateway: what it gives is what a program has a right to. */
export function toDirectCall({ id, client, method, objectId }: Cell, provider: ReplayingProvider): Call {
  return makeCall(
    { id: directId(id), client, method, objectId },
    { url: provider.url('well'), key: 'any', headers: {}, refusal: undefined },
  );
}

export const directId = (id: string): string => `${id} without a gateway`;

interface Where {
  readonly url: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly refusal: RefusalCase | undefined;
}

function makeCall(
  { id, client, method, objectId }: Pick<Cell, 'id' | 'client' | 'method' | 'objectId'>,
  { url, key, headers, refusal }: Where,
): Call {
  const isNode = client.language === 'Node';
  return {
    id,
    client: { family: client.family, url: `${url}${client.base}`, key, headers, apiVersion: client.apiVersion },
    method: isNode ? method.node : (method.python ?? method.node),
    answer: method.answer,
    final: isNode ? method.final?.node : method.final?.python,
    ...toArguments(method, refusal, objectId),
  };
}

function toArguments(method: Method, refusal: RefusalCase | undefined, objectId: string): Arguments {
  const text = refusal?.textBytes === undefined ? 'Hello' : 'x'.repeat(refusal.textBytes);
  const said = method.call({ model: refusal?.model ?? method.model ?? '', text, id: refusal?.id ?? objectId });
  return refusal?.refers === true ? { ...said, parameters: { ...said.parameters, ...method.reference } } : said;
}

/** Makes the objects that are asked for, all of them for the one key that may have them. */
export async function makeObjects(cells: readonly Cell[], gateway: string): Promise<void> {
  const ids = new Set(cells.filter(({ method }) => method.stored).map(({ objectId }) => objectId));
  const made = [...ids].map(async (id) => {
    const answer = await fetch(`${gateway}/v1/responses`, {
      method: 'POST',
      headers: { authorization: `Bearer ${textOf('open')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-5-mini', input: 'Hello', metadata: { id } }),
    });
    const text = await answer.text();
    if (!text.includes(id)) throw new Error(`${answer.status} ${text}`);
  });
  await Promise.all(made);
}
