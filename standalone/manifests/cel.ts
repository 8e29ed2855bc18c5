import { isIPv4, isIPv6 } from 'node:net';
import { Environment } from '@marcbachmann/cel-js';
import type { StructuralSchema } from '../../crds/schema-file.ts';
import type { FieldMistake, FieldPath } from './field-mistake.ts';
import { Instant, parseInstant } from './instant.ts';
import { isLabelValue, isQualifiedName } from './names.ts';

/** Values as they are before (undefined at creation) and after a change. */
export type CheckRules = (value: unknown, before: unknown) => readonly FieldMistake[];

interface Rule {
  readonly message: string;
  readonly isTransition: boolean;
  readonly holds: (context: Record<string, unknown>) => unknown;
}

/** What Kubernetes' CEL library calls a format: something to validate a string with. */
class NameFormat {
  readonly #isValid: (text: string) => boolean;

  constructor(isValid: (text: string) => boolean) {
    this.#isValid = isValid;
  }

  validate(text: string): Complaints {
    return new Complaints(!this.#isValid(text));
  }
}

/** Kubernetes gives an optional list of complaints; rules only ask whether there are any. */
class Complaints {
  readonly any: boolean;

  constructor(any: boolean) {
    this.any = any;
  }
}

class FormatLibrary {}

/**
 * Compiles the `x-kubernetes-validations` of a schema, at every depth. Rules that name `oldSelf` only run where there is an old value: a property of the same name, or
 * the element with the same keys of a list of type map. A rule that cannot be evaluated does not hold, as in the API server.
 */
export function compileRules(schema: StructuralSchema): CheckRules {
  const check = compileNode(schema, makeEnvironment());
  return (value, before) => {
    const mistakes: FieldMistake[] = [];
    check({ value, before, path: [] }, mistakes);
    return mistakes;
  };
}

interface Visit {
  readonly value: unknown;
  readonly before: unknown;
  readonly path: FieldPath;
}

type CheckNode = (visit: Visit, mistakes: FieldMistake[]) => void;

function compileNode(schema: StructuralSchema, environment: Environment): CheckNode {
  const rules = (schema['x-kubernetes-validations'] ?? []).map((entry) => compileRule(entry, environment));
  const properties = Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name,
    check: compileNode(property, environment),
  }));
  const checkItem = schema.items === undefined ? undefined : compileNode(schema.items, environment);
  return (visit, mistakes) => {
    runRules(rules, schema, visit, mistakes);
    const { value, before, path } = visit;
    for (const { name, check } of properties) {
      const child = toRecord(value)[name];
      if (child !== undefined) check({ value: child, before: toRecord(before)[name], path: [...path, name] }, mistakes);
    }
    if (checkItem === undefined || !Array.isArray(value)) return;
    for (const [position, item] of value.entries()) {
      checkItem({ value: item, before: findBefore(schema, item, before), path: [...path, position] }, mistakes);
    }
  };
}

function compileRule({ rule, message }: { rule: string; message: string }, environment: Environment): Rule {
  // the library's own timestamp() knows milliseconds only, and its type checker takes it for the one that is meant
  const evaluate = environment.parse(rule.replace(/\btimestamp\(/g, 'instant('));
  return { message, isTransition: /\boldSelf\b/.test(rule), holds: (context) => evaluate(context) };
}

function runRules(rules: readonly Rule[], schema: StructuralSchema, visit: Visit, mistakes: FieldMistake[]): void {
  if (rules.length === 0) return;
  const context: Record<string, unknown> = { self: toCelValue(schema, visit.value) };
  if (visit.before !== undefined) context['oldSelf'] = toCelValue(schema, visit.before);
  for (const rule of rules) {
    if (rule.isTransition && visit.before === undefined) continue;
    if (!holds(rule, context)) mistakes.push({ path: visit.path, message: rule.message });
  }
}

function holds(rule: Rule, context: Record<string, unknown>): boolean {
  try {
    return rule.holds(context) === true;
  } catch {
    // for example a duration that is too long for 64 bits; the library's text may quote the value
    return false;
  }
}

function findBefore(schema: StructuralSchema, item: unknown, before: unknown): unknown {
  const keys = schema['x-kubernetes-list-map-keys'];
  if (schema['x-kubernetes-list-type'] !== 'map' || keys === undefined || !Array.isArray(before)) return undefined;
  return before.find((candidate: unknown) => keys.every((key) => toRecord(candidate)[key] === toRecord(item)[key]));
}

/** Kubernetes types CEL values by the schema: integers are 64 bit, texts of format date-time are moments. */
function toCelValue(schema: StructuralSchema | undefined, value: unknown): unknown {
  if (schema?.type === 'integer' && Number.isInteger(value)) return BigInt(value as number);
  if (schema?.format === 'date-time' && typeof value === 'string') return parseInstant(value) ?? value;
  if (Array.isArray(value)) return value.map((item) => toCelValue(schema?.items, item));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, child]): [string, unknown] => [
    name,
    toCelValue(schema?.properties?.[name] ?? schema?.additionalProperties, child),
  ]);
  return Object.fromEntries(entries);
}

function toRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** The functions of Kubernetes' CEL libraries that our rules use, on top of the language. */
function makeEnvironment(): Environment {
  return new Environment()
    .registerVariable('self', 'dyn')
    .registerVariable('oldSelf', 'dyn')
    .registerType('Instant', Instant)
    .registerFunction('instant(Instant): Instant', (instant: Instant) => instant)
    .registerOperator('Instant < Instant', (left: Instant, right: Instant) => left.nanoseconds < right.nanoseconds)
    .registerType('Complaints', Complaints)
    .registerFunction('Complaints.hasValue(): bool', (complaints: Complaints) => complaints.any)
    .registerType('NameFormat', NameFormat)
    .registerFunction('NameFormat.validate(string): Complaints', (format: NameFormat, text: string) => format.validate(text))
    .registerType('FormatLibrary', FormatLibrary)
    .registerConstant('format', 'FormatLibrary', new FormatLibrary())
    .registerFunction('FormatLibrary.qualifiedName(): NameFormat', () => new NameFormat(isQualifiedName))
    .registerFunction('FormatLibrary.labelValue(): NameFormat', () => new NameFormat(isLabelValue))
    .registerFunction('isIP(string): bool', isPlainAddress)
    .registerFunction('isCIDR(string): bool', isRange);
}

/** As Kubernetes' `isIP`: no zone and no IPv4 address written as IPv6. */
function isPlainAddress(text: string): boolean {
  if (isIPv4(text)) return true;
  return isIPv6(text) && !text.includes('%') && !/^\[::ffff:[0-9a-f]+:[0-9a-f]+\]$/.test(new URL(`http://[${text}]`).hostname);
}

/** As Kubernetes' `isCIDR`: host bits may be set, the length has no leading zero. */
function isRange(text: string): boolean {
  const [address = '', length = '', ...rest] = text.split('/');
  if (rest.length > 0 || !isPlainAddress(address) || !/^(0|[1-9][0-9]{0,2})$/.test(length)) return false;
  return Number(length) <= (isIPv4(address) ? 32 : 128);
}
