import { type Exchange, required } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { namespaceOf } from '../../core/namespace-of.ts';
import { type AnswerKeeper, makeAnswerKeeper } from '../stored-objects/answer-keeper.ts';
import { type ObjectPlace, toOwner } from '../stored-objects/stored-objects.ts';

/** Undefined: nothing of this answer is kept by the provider. */
export type KeeperOpener = ((isEventStream: boolean) => AnswerKeeper) | undefined;

/** Who sees to it that what a good answer of this place shows is noted first. */
export function toKeeperOpener(exchange: Exchange, parts: Parts, place: ObjectPlace): KeeperOpener {
  const { shape, driver } = exchange;
  const idsOf = driver?.idsOf;
  if (shape?.keepsAnswer !== true || idsOf === undefined) return undefined;
  const { storedObjects: objects, room } = parts;
  const owner = toOwner(required(exchange.key).record);
  const budget = room.of(namespaceOf(owner.keyId));
  return (isEventStream) => makeAnswerKeeper({ objects, owner, place, idsOf, sizeOf: driver?.sizeOf, isEventStream, budget });
}

/** What the provider says to have deleted is no object of the key any more. Where that cannot be noted now the provider goes on saying so. */
export function forgetDeleted({ surface, shape, response, key }: Exchange, { storedObjects }: Parts): undefined {
  if (surface.operation !== 'stored' || surface.method !== 'DELETE' || response.statusCode >= 300) return;
  const ids = (required(shape).references ?? []).map(({ id }) => id);
  void storedObjects.forget(toOwner(required(key).record), ids);
}
