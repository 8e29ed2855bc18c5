import type { Prompt } from '../../core/estimate.ts';
import type { Refusal } from '../../core/refusals.ts';
import type { Body, Splice, Surface, SurfaceDriver } from '../dialects/dialect.ts';
import { type JsonBody, scanJson } from './json-scan.ts';
import { type KeptJson, shrinkBody, spliceJson } from './kept-json.ts';
import type { ByteList } from './byte-list.ts';
import type { BodyForm } from './content-type.ts';
import { contentTypeOf, mayHold, scanMultipart, spliceMultipart } from './multipart-scan.ts';

/** What is kept of a request's body once its shape is known, whatever its form. */
export interface RequestBody {
  /** its short fields, by name; the texts of a form are texts */
  readonly value: Body;
  /** for the provider */
  readonly contentType: string;
  /** false: that text in one of its fields would break the body apart */
  mayHold(text: string): boolean;
  /** The client's own bytes but for the named fields; views, not copies. */
  splice(splices: readonly Splice[]): readonly Buffer[];
}

/** A body that was read in one way only, before anybody knows what it asks for. */
export interface OpenedBody {
  /** every field of JSON, the short texts of a form */
  readonly value: Body;
  /** Has the driver look at the bytes of JSON; before anything else of the body is believed. */
  inspect(driver: SurfaceDriver): Refusal | undefined;
  measure(driver: SurfaceDriver, surface: Surface): Prompt;
  /** Drops what was only needed to look at it. */
  keep(): RequestBody;
}

/** Reads a whole body in the form that its content type names; refuses (`invalid_request`) what two readers could read differently. */
export function openBody(bytes: ByteList, form: BodyForm): OpenedBody | { readonly refusal: Refusal } {
  return form.form === 'json' ? openJson(bytes) : openMultipart(bytes, form.boundary);
}

function openJson(bytes: ByteList): OpenedBody | { readonly refusal: Refusal } {
  const joined = bytes.join();
  const scan = scanJson(joined.bytes);
  if (!scan.ok) {
    joined.drop();
    return { refusal: scan.refusal };
  }
  const { body } = scan;
  let modelPlaces: JsonBody['modelPlaces'];
  return {
    value: body.value,
    inspect(driver) {
      const seen = driver.readBody?.(body);
      if (seen !== undefined && 'refusal' in seen) return seen.refusal;
      modelPlaces = seen?.modelPlaces;
      return undefined;
    },
    measure: (driver, surface) => driver.measure(body, surface),
    keep() {
      joined.drop();
      return toKeptJson(shrinkBody(modelPlaces === undefined ? body : { ...body, modelPlaces }, bytes));
    },
  };
}

/**
 * A function of its own: closures share what is around them, so one that is made in `openJson` keeps the parsed value and the joined bytes alive for as long as a provider
 * thinks, three times the body that the bounds count.
 */
function toKeptJson(kept: KeptJson): RequestBody {
  return { value: kept.value, contentType: 'application/json', mayHold: () => true, splice: (splices) => spliceJson(kept, splices) };
}

function openMultipart(bytes: ByteList, boundary: string): OpenedBody | { readonly refusal: Refusal } {
  const scan = scanMultipart(bytes, boundary);
  if (!scan.ok) return { refusal: scan.refusal };
  const { body } = scan;
  return {
    value: body.value,
    inspect: () => undefined,
    measure(driver, surface) {
      if (driver.measureForm === undefined) throw new Error(`the surface ${surface.name} takes forms and its driver cannot measure them`);
      return driver.measureForm(body, surface);
    },
    keep: () => ({
      value: body.value,
      contentType: contentTypeOf(body),
      mayHold: (text) => mayHold(body, text),
      splice: (splices) => spliceMultipart(body, splices),
    }),
  };
}
