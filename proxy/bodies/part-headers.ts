/** What the headers of one part of a form say. */
export interface PartHeaders {
  readonly name: string;
  /** the part is a file; `''` also is a file name */
  readonly fileName: string | undefined;
  /** as written; undefined when nothing is said, which means text */
  readonly contentType: string | undefined;
}

const mostHeaders = 16;
const fieldPattern = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/;
/** control characters, also in the middle of a line: a reader that ends lines with a bare CR or LF would see other headers */
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const controls = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/**
 * Reads the headers of a part (RFC 7578 section 4). Gives why they are refused where two readers could read them differently: folded lines, a second one of the headers
 * that matter, names with escapes, encodings, or in another place (`name*`, RFC 7578 section 4.2 forbids `filename*` alone), a coding of the content, parts inside parts.
 * @param text of the header block without its empty line, one character a byte
 */
export function parsePartHeaders(text: string): PartHeaders | { readonly why: string } {
  const fields = readFields(text.split('\r\n'));
  if (!(fields instanceof Map)) return fields;
  const why = checkCoding(fields.get('content-transfer-encoding')) ?? checkType(fields.get('content-type'));
  if (why !== undefined) return { why };
  const disposition = fields.get('content-disposition');
  if (disposition === undefined) return { why: 'has no Content-Disposition' };
  const named = parseDisposition(disposition);
  return 'why' in named ? named : { ...named, contentType: fields.get('content-type') };
}

function readFields(lines: readonly string[]): Map<string, string> | { readonly why: string } {
  if (lines.length > mostHeaders) return { why: `has more than ${mostHeaders} headers` };
  const fields = new Map<string, string>();
  for (const line of lines) {
    const [, name = '', value = ''] = controls.test(line) ? [] : (fieldPattern.exec(line) ?? []);
    const lower = name.toLowerCase();
    if (name === '') return { why: 'has a line among its headers that is none' };
    if (fields.has(lower) && lower.startsWith('content-')) return { why: `has two headers ${lower}` };
    fields.set(lower, value);
  }
  return fields;
}

/** RFC 7578 section 4.7: senders should leave it out; what changes nothing is harmless. */
function checkCoding(coding: string | undefined): string | undefined {
  return coding === undefined || /^(?:binary|7bit|8bit)$/i.test(coding) ? undefined : 'has a Content-Transfer-Encoding';
}

function checkType(type: string | undefined): string | undefined {
  return type !== undefined && /^(?:multipart|message)(?:\/|$)/i.test(type) ? 'holds further parts' : undefined;
}

const parameterPattern = /;[ \t]*([A-Za-z*0-9]+)=(?:"([^"]*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]+))/y;
/** Plain, so that escapes and encodings have nowhere to stand; brackets are how SDKs write lists and objects. */
const namePattern = /^[\w.[\]-]{1,128}$/;

function parseDisposition(value: string): { readonly name: string; readonly fileName: string | undefined } | { readonly why: string } {
  if (!/^form-data(?:;|$)/.test(value)) return { why: 'has a Content-Disposition other than form-data' };
  const parameters = new Map<string, string>();
  parameterPattern.lastIndex = 'form-data'.length;
  let end = parameterPattern.lastIndex;
  for (let match = parameterPattern.exec(value); match !== null; match = parameterPattern.exec(value)) {
    const [, parameter = '', quoted, token = ''] = match;
    if (!['name', 'filename', 'filename*'].includes(parameter)) return { why: `has the parameter ${parameter} in its Content-Disposition` };
    if (parameters.has(parameter)) return { why: `has two parameters ${parameter} in its Content-Disposition` };
    // to one reader the backslash hides the quote, to another the text ends here
    if (quoted?.endsWith('\\') === true) return { why: 'has an escaped quote in its Content-Disposition' };
    parameters.set(parameter, quoted ?? token);
    end = parameterPattern.lastIndex;
  }
  if (end < value.length) return { why: 'has a Content-Disposition that cannot be read' };
  return toNamed(parameters);
}

function toNamed(parameters: ReadonlyMap<string, string>): ReturnType<typeof parseDisposition> {
  const name = parameters.get('name');
  if (name === undefined) return { why: 'has no name' };
  if (!namePattern.test(name)) return { why: 'has a name with other characters than letters, digits, "_", "-", "." and brackets' };
  // .NET sends it beside the plain one
  if (parameters.has('filename*') && !parameters.has('filename')) return { why: 'has a filename* and no filename' };
  return { name, fileName: parameters.get('filename') };
}
