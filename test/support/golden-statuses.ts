import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments, parse } from 'yaml';
import type { Channel, VirtualKey } from '../../core/resources.ts';

export interface GoldenStatus {
  /** `file: Kind namespace/name` */
  readonly title: string;
  /** as the API server would hold it: the manifest of the golden file with the status that the operator writes */
  readonly object: VirtualKey | Channel;
}

const folder = join(import.meta.dirname, '..', '..', 'operator', 'translate', 'testdata');

/** Every status in the golden files of translate, with the object that it belongs to. */
export function readGoldenStatuses(): readonly GoldenStatus[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.in.yaml'));
  return files.flatMap((file) => {
    const output = parse(readFileSync(join(folder, file.replace('.in.yaml', '.out.yaml')), 'utf8')) as {
      virtualKeys: Record<string, VirtualKey['status']>;
      channels: Record<string, Channel['status']>;
    };
    const documents = parseAllDocuments(readFileSync(join(folder, file), 'utf8')).map((document) => document.toJS() as unknown);
    return (documents.slice(1) as (VirtualKey | Channel)[]).flatMap((object) => {
      const id = `${object.metadata.namespace}/${object.metadata.name}`;
      const status = { VirtualKey: output.virtualKeys[id], Channel: output.channels[id] }[object.kind];
      if (status === undefined) return [];
      return [{ title: `${file}: ${object.kind} ${id}`, object: { ...object, status } }];
    });
  });
}
