import type { Refusal } from '../../../core/refusals.ts';
import type { JsonBody } from '../../bodies/json-scan.ts';
import { findClosingQuote, type JsonMember, mostMembers, readMembers, skipSpace, skipValue } from '../../bodies/json-walk.ts';
import { toSnakeCase } from './fields.ts';

const quote = 0x22;

/** Members of an object that decide what a request does or costs, and those among them whose value, an object or a list of objects, has such members itself. */
interface Rules {
  readonly names: readonly string[];
  readonly nested?: Readonly<Record<string, Rules>>;
}

const generationConfig: Rules = {
  names: ['maxOutputTokens', 'candidateCount', 'responseModalities', 'thinkingConfig', 'serviceTier'],
};
const content = [
  'model',
  'contents',
  'systemInstruction',
  'tools',
  'toolConfig',
  'generationConfig',
  'cachedContent',
  'serviceTier',
  'store',
];
const embedding: Rules = { names: ['model', 'content', 'title', 'taskType', 'outputDimensionality', 'embedContentConfig'] };
const generating: Rules = { names: content, nested: { generationConfig } };
const top: Rules = {
  names: [...content, ...embedding.names.filter((name) => name !== 'model'), 'generateContentRequest', 'requests'],
  nested: { generationConfig, generateContentRequest: generating, requests: embedding },
};

/**
 * Refuses a body that Google's servers might read in another way than we do: a deciding member in both of its spellings, twice, with escapes, or in a third spelling; and one that
 * refers to an object of the account, which is not this key's alone. Gives the places of `model` below the top level.
 */
export function readGeminiBody(body: JsonBody): { readonly modelPlaces: readonly JsonMember[] } | { readonly refusal: Refusal } {
  const modelPlaces: JsonMember[] = [];
  const refusal = checkMembers(body.bytes, { members: body.members, rules: top, path: '', found: modelPlaces }) ?? findReference(body);
  if (refusal !== undefined) return { refusal };
  const own = body.members.find(({ name }) => name === 'model');
  return { modelPlaces: modelPlaces.filter((place) => place !== own) };
}

interface Level {
  readonly members: readonly JsonMember[];
  readonly rules: Rules;
  readonly path: string;
  /** collects the members named `model` */
  readonly found: JsonMember[];
}

function checkMembers(bytes: Buffer, { members, rules, path, found }: Level): Refusal | undefined {
  const seen = new Set<string>();
  for (const member of members) {
    const name = rules.names.find((each) => fold(each) === fold(member.name));
    if (name === undefined) continue;
    const refusal =
      checkMember(member, name, path) ?? (seen.has(name) ? ambiguous(`${path}${name}`, 'stands in the body twice') : undefined);
    if (refusal !== undefined) return refusal;
    seen.add(name);
    if (name === 'model') found.push(member);
    const nested = rules.nested?.[name];
    const below = nested === undefined ? undefined : checkNested(bytes, member, { rules: nested, path: `${path}${name}.`, found });
    if (below !== undefined) return below;
  }
  return undefined;
}

function checkMember(member: JsonMember, name: string, path: string): Refusal | undefined {
  if (member.escaped) return ambiguous(`${path}${name}`, 'is written with escapes');
  return member.name === name || member.name === toSnakeCase(name) ? undefined : ambiguous(`${path}${name}`, 'is written in another way');
}

/** The object that is the member's value, or each of a list of them. */
function checkNested(bytes: Buffer, member: JsonMember, level: Omit<Level, 'members'>): Refusal | undefined {
  const { valueStart } = member;
  if (bytes[valueStart] === 0x7b) return checkObject(bytes, valueStart, level);
  if (bytes[valueStart] !== 0x5b) return undefined;
  let position = skipSpace(bytes, valueStart + 1);
  while (position < member.valueEnd - 1) {
    const refusal = bytes[position] === 0x7b ? checkObject(bytes, position, level) : undefined;
    if (refusal !== undefined) return refusal;
    position = skipSpace(bytes, skipValue(bytes, position));
    if (bytes[position] === 0x2c) position = skipSpace(bytes, position + 1);
  }
  return undefined;
}

function checkObject(bytes: Buffer, start: number, level: Omit<Level, 'members'>): Refusal | undefined {
  const { members } = readMembers(bytes, start);
  // those beyond the bound have not been looked at
  if (members.length > mostMembers) return ambiguous(level.path.slice(0, -1), `has more than ${mostMembers} fields`);
  return checkMembers(bytes, { ...level, members });
}

/** Some of Google's parsers turn any snake case into camel case before they look. */
function fold(name: string): string {
  return name.replaceAll('_', '').toLowerCase();
}

function ambiguous(param: string, what: string): Refusal {
  return { code: 'invalid_request', message: `the key '${param}' ${what}`, param };
}

/** Members that may name what is stored in an account, where whoever else has a key of this gateway would see it too; and which of their texts do. */
const references: ReadonlyMap<string, RegExp> = new Map([
  ['cachedcontent', /^(?:.*\/)?cachedContents\/|^projects\//i],
  // the Files API by its address, a bucket (gs://: one that was registered for the account, or, on Vertex AI, one that it may read), and whatever is no address of the
  // public web; that (YouTube, signed addresses) is fetched as anybody may. Sources: Gemini API, "File input methods"; Vertex AI, "Part", FileData
  ['fileuri', /^(?!https?:\/\/)[^]|^https?:[/\\]*[^/?#]*generativelanguage/i],
  ['filesearchstorenames', /./],
]);
/** of the longest name, with underscores */
const longestName = 32;

/**
 * Looks at every member of the whole text by its name, and not at the parsed value: of a member that stands somewhere twice, servers may take the first or put both together.
 * Linear; long texts are skipped natively.
 */
function findReference({ bytes, members }: JsonBody): Refusal | undefined {
  const own = members.find(({ name }) => fold(name) === 'cachedcontent');
  if (own !== undefined && !isEmpty(bytes.toString('utf8', own.valueStart, own.valueEnd))) return unsupported('cachedContent');
  for (let start = bytes.indexOf(quote); start >= 0;) {
    const end = findClosingQuote(bytes, start) ?? bytes.length;
    const colon = skipSpace(bytes, end + 1);
    const name = bytes[colon] === 0x3a ? toReferenceName(bytes, start, end) : undefined;
    if (name !== undefined && refersToAccount(bytes, skipSpace(bytes, colon + 1), name)) return unsupported(name);
    start = bytes.indexOf(quote, end + 1);
  }
  return undefined;
}

/** The name of a member as it stands between these quotes, when it is one that may refer. */
function toReferenceName(bytes: Buffer, start: number, end: number): string | undefined {
  // an escape takes six bytes for one letter
  if (end - start > longestName * 6) return undefined;
  const raw = bytes.toString('utf8', start, end + 1);
  const name = raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1);
  return references.has(fold(name)) ? name : undefined;
}

/** Texts and lists of them; what is nested deeper is the schema of a tool, say, and is not parsed again and again. */
function refersToAccount(bytes: Buffer, valueStart: number, name: string): boolean {
  if (bytes[valueStart] === 0x5b) return bytes[skipSpace(bytes, valueStart + 1)] === quote;
  if (bytes[valueStart] !== quote) return false;
  const text = JSON.parse(bytes.toString('utf8', valueStart, skipValue(bytes, valueStart))) as string;
  return references.get(fold(name))?.test(text) === true;
}

function isEmpty(json: string): boolean {
  return json === 'null' || json === '""';
}

function unsupported(name: string): Refusal {
  return {
    code: 'unsupported_reference',
    message: `"${name}" refers to an object of an account that many keys share; the gateway does not pass that on.`,
    param: name,
  };
}
