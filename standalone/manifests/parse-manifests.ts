import { isMap, isScalar, LineCounter, parseAllDocuments, visit, type Document, type Node } from 'yaml';
import type { ClusterObject } from '../../operator/cluster/cluster.ts';
import { formatPath, type FieldPath } from './field-mistake.ts';

/** One object of a manifest file. */
export interface Manifest {
  readonly object: ClusterObject;
  readonly file: string;
  /** first line of the object, from 1 */
  readonly line: number;
  /** line of a field, or of the nearest thing around it that is there */
  lineOf(path: FieldPath): number;
}

export interface ManifestMistake {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

export interface ParsedManifests {
  readonly objects: readonly Manifest[];
  readonly mistakes: readonly ManifestMistake[];
  /** documents and items of lists that were passed over */
  readonly foreign: number;
}

/** Whether a document, or an item of a list, is nothing that the caller looks for: then nothing is demanded of it. */
export type IsForeign = (value: unknown) => boolean;

/** More is no manifest: the API server takes about 1.5 MiB an object. */
const maxBytes = 8 * 1024 * 1024;
/** Nodes that one document may expand to by aliases, as multiples of what is written (yaml's maxAliasCount). */
const maxAliasCount = 100;
const maxSyntaxErrors = 5;
const listKinds = new Set(['List', 'VirtualKeyList', 'ChannelList', 'SecretList']);

interface Source {
  readonly file: string;
  readonly lines: LineCounter;
  readonly mistakes: ManifestMistake[];
  readonly isForeign: IsForeign;
  foreign: number;
}

/**
 * Text of a manifest file (YAML or JSON, several documents, `List` kinds) → its objects with the lines they stand on. Refuses duplicate keys, alias bombs and plain words
 * that kubectl (YAML 1.1) reads otherwise than YAML 1.2 does, so that one file means one thing wherever it is applied. Mistakes never quote values.
 */
export function parseManifests(text: string, fileName: string, isForeign: IsForeign = () => false): ParsedManifests {
  const source: Source = { file: fileName, lines: new LineCounter(), mistakes: [], isForeign, foreign: 0 };
  const objects: Manifest[] = [];
  if (Buffer.byteLength(text) > maxBytes) {
    return { objects, mistakes: [{ file: fileName, line: 1, message: `must have at most ${maxBytes} bytes` }], foreign: 0 };
  }
  for (const document of toDocuments(text, source)) {
    const value = toValue(document, source);
    if (value !== undefined && value !== null) objects.push(...toManifests(document, value, source));
  }
  return { objects, mistakes: source.mistakes, foreign: source.foreign };
}

function toDocuments(text: string, source: Source): readonly Document.Parsed[] {
  try {
    // a byte order mark is no content
    const plain = text.startsWith('\uFEFF') ? text.slice(1) : text;
    const documents = parseAllDocuments(plain, { lineCounter: source.lines, merge: true, prettyErrors: false, uniqueKeys: true });
    return Array.isArray(documents) ? documents : [];
  } catch (error) {
    // nested so deeply that the parser's stack ends
    if (!(error instanceof RangeError)) throw error;
    complain(source, 1, 'is nested too deeply');
    return [];
  }
}

function toValue(document: Document.Parsed, source: Source): unknown {
  const { errors, warnings } = document;
  if (errors.length > 0) return complainOf([...errors, ...warnings], source);
  const value = toPlain(document, source);
  if (value === undefined || passOver(value, source)) return undefined;
  if (warnings.length > 0) return complainOf(warnings, source);
  return findAmbiguous(document, source) ? undefined : value;
}

function complainOf(
  troubles: readonly (Document.Parsed['errors'][number] | Document.Parsed['warnings'][number])[],
  source: Source,
): undefined {
  // one slip makes the parser complain of all that follows
  for (const { pos, code, message } of troubles.slice(0, maxSyntaxErrors))
    complain(source, source.lines.linePos(pos[0]).line, withoutQuotes(code, message));
}

function passOver(value: unknown, source: Source): boolean {
  const isForeign = value !== null && source.isForeign(value);
  if (isForeign) source.foreign += 1;
  return isForeign;
}

function toPlain(document: Document.Parsed, source: Source): unknown {
  try {
    return document.toJS({ maxAliasCount });
  } catch (error) {
    if (!(error instanceof ReferenceError || error instanceof RangeError)) throw error;
    const isUnresolved = error.message.startsWith('Unresolved alias');
    const message = isUnresolved ? unresolvedAlias : 'expands to too much by aliases, or is nested too deeply';
    complain(source, lineOfNode(document.contents, source.lines) ?? 1, message);
    return undefined;
  }
}

const unresolvedAlias = 'an alias names no anchor that is set before it';

/** For those kinds of complaint of the parser that quote what is written: it may be a secret. */
const wordings: Readonly<Record<string, string>> = {
  BAD_ALIAS: 'an alias is not written right',
  BAD_DIRECTIVE: 'a directive is not known',
  BAD_DQ_ESCAPE: 'an escape sequence in double quotes is not valid',
  DUPLICATE_KEY: 'a key is there twice; keys of one mapping must be unique',
  RESOURCE_EXHAUSTION: 'is nested too deeply',
  TAG_RESOLVE_FAILED: 'a tag is not known',
};

/** The parser's own words, up to where they might quote. */
function withoutQuotes(code: string, message: string): string {
  return wordings[code] ?? message.replace(/:.*$/s, '');
}

/** YAML 1.1 (kubectl) has more booleans and numbers than YAML 1.2; also as a key, for example `on:`. */
const ambiguous = /^(?:y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF|[-+]?0[0-7_]+|[-+]?0b[01_]+|[-+]?[0-9]+_[0-9_]*)$/;

function findAmbiguous(document: Document.Parsed, source: Source): boolean {
  let found = false;
  visit(document, {
    Scalar(key, node) {
      if (node.type !== 'PLAIN' || node.source === undefined || !ambiguous.test(node.source)) return;
      found = true;
      const what = key === 'key' ? 'key' : 'value';
      complain(
        source,
        lineOfNode(node, source.lines) ?? 1,
        `this ${what} is read by kubectl as a boolean or another number: put it in quotes, or write true or false`,
      );
    },
  });
  return found;
}

function toManifests(document: Document.Parsed, value: unknown, source: Source): readonly Manifest[] {
  const at = (path: FieldPath): number => findLine(document, path, source.lines);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    complain(source, at([]), 'must be an object with apiVersion, kind and metadata');
    return [];
  }
  const { kind, items } = value as { kind?: unknown; items?: unknown };
  if (typeof kind !== 'string' || !listKinds.has(kind)) return toManifest(value, [], { at, source });
  if (!Array.isArray(items)) {
    complain(source, at(['items']), `a ${kind} must have a list of items`);
    return [];
  }
  return items.flatMap((item: unknown, position) => {
    const whole = withListType(item, value, kind);
    return passOver(whole, source) ? [] : toManifest(whole, ['items', position], { at, source });
  });
}

/** The API gives the items of a list of one kind without kind and apiVersion (`kubectl get --raw`). */
function withListType(item: unknown, list: object, listKind: string): unknown {
  if (listKind === 'List' || typeof item !== 'object' || item === null || Array.isArray(item)) return item;
  const { apiVersion } = list as { apiVersion?: unknown };
  return { apiVersion, kind: listKind.slice(0, -'List'.length), ...item };
}

interface Place {
  readonly at: (path: FieldPath) => number;
  readonly source: Source;
}

/** Only what tells one object from another is looked at here; the rest is for admission. */
function toManifest(value: unknown, prefix: FieldPath, { at, source }: Place): readonly Manifest[] {
  const { apiVersion, kind, metadata } = (value ?? {}) as { apiVersion?: unknown; kind?: unknown; metadata?: unknown };
  const { name, namespace } = (metadata ?? {}) as { name?: unknown; namespace?: unknown };
  const refuse = (path: FieldPath, message: string): readonly Manifest[] => {
    const whole = [...prefix, ...path];
    complain(source, at(whole), whole.length === 0 ? message : `${formatPath(whole)}: ${message}`);
    return [];
  };
  if (!isText(apiVersion)) return refuse(['apiVersion'], 'is required');
  if (!isText(kind)) return refuse(['kind'], 'is required');
  if (!isText(name)) return refuse(['metadata', 'name'], 'is required');
  if (namespace !== undefined && namespace !== null && !isText(namespace)) return refuse(['metadata', 'namespace'], 'must be text');
  return [{ object: value as ClusterObject, file: source.file, line: at(prefix), lineOf: (path) => at([...prefix, ...path]) }];
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function findLine(document: Document.Parsed, path: FieldPath, lines: LineCounter): number {
  for (let length = path.length; length > 0; length -= 1) {
    const line = lineOfField(document, path.slice(0, length), lines);
    if (line !== undefined) return line;
  }
  return lineOfNode(document.contents, lines) ?? 1;
}

/** The line of the key, not of the value: a block value begins one line later. */
function lineOfField(document: Document.Parsed, path: FieldPath, lines: LineCounter): number | undefined {
  const parent: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  if (isMap(parent)) {
    const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(last));
    return lineOfNode(pair?.key as Node | undefined, lines);
  }
  return lineOfNode(document.getIn(path, true) as Node | undefined, lines);
}

function lineOfNode(node: Node | null | undefined, lines: LineCounter): number | undefined {
  const start = node?.range?.[0];
  return start === undefined ? undefined : lines.linePos(start).line;
}

function complain({ file, mistakes }: Source, line: number, message: string): void {
  mistakes.push({ file, line, message });
}

export function formatManifestMistake({ file, line, message }: ManifestMistake): string {
  return `${file}:${line}: ${message}`;
}
