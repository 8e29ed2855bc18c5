import type { Publisher } from '../snapshot/publish.ts';
import type { Watches } from '../watches.ts';

/** Everything that is there, and every key that is published or recorded although its VirtualKey is not there. */
export function* toWorkItems(watches: Watches, publisher: Publisher): Iterable<string> {
  for (const name of watches.missingNamespaces()) yield `Namespace//${name}`;
  for (const { metadata } of watches.channels.values()) yield `Channel/${metadata.namespace ?? ''}/${metadata.name}`;
  for (const { metadata } of watches.virtualKeys.values()) yield `VirtualKey/${metadata.namespace ?? ''}/${metadata.name}`;
  for (const id of publisher.ids('channels')) yield `Channel/${id}`;
  for (const id of publisher.ids('keys')) yield `VirtualKey/${id}`;
  for (const { keyId } of watches.credentials.living()) yield `VirtualKey/${keyId}`;
}
