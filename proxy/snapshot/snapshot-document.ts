import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { toDocumentName } from '../../core/snapshot-layout.ts';
import { type ParsedSnapshotDocument, parseSnapshotDocument } from '../../core/snapshot-parse.ts';
import { snapshotEntry, snapshotSecretType } from '../../core/snapshot.ts';
import type { SealSource } from '../../runtime/seal-file.ts';

const unzip = promisify(gunzip);

/** A shard is bounded at 512 KiB gzipped, of which JSON becomes some 10 MiB; more is no snapshot but a bomb. */
const largestDocumentBytes = 32 * 1024 * 1024;

export type ReadDocument = ParsedSnapshotDocument | { readonly ok: false; readonly reason: 'locked'; readonly message: string };

/** Reads a document as it stands in its Secret. `locked`: another seal key would open it. */
export type DocumentReader = (name: string, bytes: Uint8Array) => Promise<ReadDocument>;

/** Documents of that namespace, sealed or not, as the keys of the moment allow. */
export function makeDocumentReader({ seal, namespace }: { readonly seal: SealSource; readonly namespace: string }): DocumentReader {
  return async (name, bytes) => {
    const opened = seal.keys.open(bytes, { type: snapshotSecretType, namespace, name, entry: snapshotEntry });
    if (opened.ok) return readSnapshotDocument(name, opened.bytes);
    return { ok: false, reason: opened.reason === 'locked' ? 'locked' : 'invalid', message: opened.message };
  };
}

/** Reads a gzipped document, off the event loop as far as possible. Refuses what the parser refuses, and a document that stands under another one's name. */
export async function readSnapshotDocument(name: string, bytes: Uint8Array): Promise<ParsedSnapshotDocument> {
  const json = await toText(bytes);
  if (json === undefined) return { ok: false, reason: 'invalid', message: 'not gzipped, cut off, or too large' };
  const parsed = parseSnapshotDocument(json);
  if (!parsed.ok) return parsed;
  const ownName = toDocumentName(parsed.document);
  return ownName === name ? parsed : { ok: false, reason: 'invalid', message: `its content belongs under the name ${ownName}` };
}

async function toText(bytes: Uint8Array): Promise<string | undefined> {
  try {
    return (await unzip(bytes, { maxOutputLength: largestDocumentBytes })).toString('utf8');
  } catch {
    return undefined;
  }
}
