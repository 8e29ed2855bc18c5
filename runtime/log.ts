import { type ChildLoggerOptions, type DestinationStream, type Logger, pino } from 'pino';
import { openStandardOutput } from './log-output.ts';

export type Log = Logger;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/**
 * A JSON log, one object a line, on standard output unless `destination` says otherwise.
 * What cannot be shown is taken out here, whoever logs it: values of headers that carry credentials, and of errors everything but name, message, code and stack
 * (an HTTP client's error likes to carry the answer's body and headers, also inside its message).
 */
export function makeLog({ level, name, destination }: { level: LogLevel | 'silent'; name: string; destination?: DestinationStream }): Log {
  const options = {
    level,
    name,
    formatters: { log: toShown, level: (label: string) => ({ level: label }) },
    // serialisers run after the formatters; pino's own would add the error's other properties again
    serializers: { err: (value: unknown) => value },
    hooks: {
      // log(error) would otherwise take the message of the error unseen
      logMethod(this: Log, values: Parameters<Log['info']>, method: (...values: Parameters<Log['info']>) => void): void {
        const [first, ...rest] = values as unknown[];
        if (!(first instanceof Error)) return method.apply(this, values);
        const shown = toShownError(first);
        const spread = rest.length > 0 ? rest : [shown['message']];
        return method.apply(this, [{ err: shown }, ...spread] as unknown as Parameters<Log['info']>);
      },
    },
  };
  const log = pino(options, destination ?? openStandardOutput());
  // pino hands the bindings of children to no formatter; children inherit what is set here
  const child = log.child as unknown as (this: Log, bindings: Record<string, unknown>, childOptions?: ChildLoggerOptions) => Log;
  log.child = function (this: Log, bindings: Record<string, unknown>, childOptions?: ChildLoggerOptions) {
    return child.call(this, toShown(bindings), childOptions);
  } as unknown as Log['child'];
  return log;
}

/** Compared in lower case without `-` and `_`, so that header names, environment names and property names are one. */
const hiddenNames = new Set(
  [
    'authorization',
    'proxy-authorization',
    'x-api-key',
    'api-key',
    'x-goog-api-key',
    'cookie',
    'set-cookie',
    'x-amz-security-token',
    'ocp-apim-subscription-key',
    'password',
  ].map(toPlainName),
);
const deepest = 6;

function toPlainName(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '');
}

/** The same object, unless something in it must be taken out: an access line is flat, so it costs one look per field. */
function toShown(object: Record<string, unknown>): Record<string, unknown> {
  return toShownFields(object, 0);
}

function toShownFields(object: Record<string, unknown>, depth: number): Record<string, unknown> {
  let copy: Record<string, unknown> | undefined;
  for (const key in object) {
    const value = object[key];
    const shown = hiddenNames.has(toPlainName(key)) ? '[secret]' : toShownValue(value, depth + 1);
    if (shown !== value) (copy ??= { ...object })[key] = shown;
  }
  return copy ?? object;
}

function toShownValue(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return toShownError(value);
  if ('toJSON' in value && typeof value.toJSON === 'function') return value;
  if (depth > deepest) return '[too deep]';
  if (Array.isArray(value)) return value.map((item: unknown) => toShownValue(item, depth + 1));
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  return toShownFields(value as Record<string, unknown>, depth);
}

/** An error's message is shown unless the error carries an HTTP answer: then the message may quote it. */
function toShownError(error: Error): Record<string, unknown> {
  const carriesAnswer = ['body', 'headers', 'response', 'request', 'config'].some((property) => property in error);
  const frames = error.stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  const shown: Record<string, unknown> = { name: error.name };
  shown['message'] = carriesAnswer ? '(withheld: it may quote an HTTP answer)' : error.message;
  if ('code' in error && (typeof error.code === 'string' || typeof error.code === 'number')) shown['code'] = error.code;
  if (error.cause instanceof Error) shown['cause'] = toShownError(error.cause);
  shown['stack'] = frames.map((line) => line.trim()).join('\n');
  return shown;
}
