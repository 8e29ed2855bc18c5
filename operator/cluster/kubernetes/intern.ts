/** Distinct texts that are remembered; then it begins anew, so that texts which are never seen again are not kept. */
const rememberedTexts = 8_192;
/** longer ones seldom repeat */
const longestText = 128;

let texts = new Map<string, string>();

/**
 * The same value, in which equal texts are one: thousands of objects say the same in their specs, conditions and owners, and each parsed object brings a copy of its own.
 * Changes the value in place; only for what has just been parsed.
 */
export function internTexts<T>(value: T): T {
  if (typeof value === 'string') return internText(value) as T;
  if (typeof value !== 'object' || value === null) return value;
  const fields = value as Record<string, unknown>;
  for (const [name, field] of Object.entries(fields)) {
    if (typeof field === 'string' || (typeof field === 'object' && field !== null)) fields[name] = internTexts(field);
  }
  return value;
}

function internText(text: string): string {
  if (text.length > longestText) return text;
  const known = texts.get(text);
  if (known !== undefined) return known;
  if (texts.size >= rememberedTexts) texts = new Map();
  texts.set(text, text);
  return text;
}
