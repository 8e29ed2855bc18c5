import { LuaFactory } from 'wasmoon';

/** Runs a script as Argo CD does: with the object as the global `obj`, whose lists count from 1 and whose absent fields are nil. Gives what it returns. */
export async function runLua(script: string, object: unknown): Promise<unknown> {
  const engine = await new LuaFactory().createEngine({ enableProxy: false });
  try {
    return await engine.doString(`obj = ${toLua(object)}\n${script}`);
  } finally {
    engine.global.close();
  }
}

/** A JSON value as a Lua expression. */
function toLua(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(toLua).join(',')}}`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined && field !== null);
    return `{${fields.map(([name, field]) => `[${toText(name)}]=${toLua(field)}`).join(',')}}`;
  }
  if (typeof value === 'string') return toText(value);
  return value === undefined || value === null ? 'nil' : JSON.stringify(value);
}

/** Byte by byte in decimal escapes, which all versions of Lua read alike. */
function toText(text: string): string {
  return `"${[...Buffer.from(text)].map((byte) => `\\${String(byte).padStart(3, '0')}`).join('')}"`;
}
