import { Buffer } from 'node:buffer';
import { isDeepStrictEqual, types } from 'node:util';
import { isBytes } from '../wire/memory.js';

/**
 * Compares two messages: bytes by their content, other values as `isDeepStrictEqual` of node:util does. The class of
 * bytes and the realm of a value make no difference.
 */
export function isSame(a: unknown, b: unknown): boolean {
  if (isBytes(a) && isBytes(b)) return Buffer.compare(a, b) === 0;
  return isDeepStrictEqual(a, b) || isDeepStrictEqual(localized(a), localized(b));
}

type Copies = Map<object, object>;

/** A copy of the value with the built-in prototypes of this realm. All bytes in it are Buffers. */
function localized(value: unknown, copies: Copies = new Map()): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (isBytes(value)) return Buffer.from(value);
  const known = copies.get(value);
  if (known !== undefined) return known;
  const copy = emptyCopy(value);
  if (copy === undefined) return localLeaf(value);
  // Comes first because the value may contain itself.
  copies.set(value, copy);
  fill(copy, value, copies);
  return Object.setPrototypeOf(copy, localPrototype(value));
}

/** An empty container of the same kind; undefined for a value that contains no others. */
function emptyCopy(value: object): object | undefined {
  if (Array.isArray(value)) return new Array(value.length);
  if (types.isMap(value)) return new Map();
  if (types.isSet(value)) return new Set();
  return Object.prototype.toString.call(value) === '[object Object]' ? {} : undefined;
}

function fill(copy: object, value: object, copies: Copies): void {
  for (const key of Reflect.ownKeys(value)) {
    if (!Object.prototype.propertyIsEnumerable.call(value, key)) continue;
    const property = localized(value[key as never], copies);
    // An assignment would call the setter of `__proto__`.
    Object.defineProperty(copy, key, { value: property, enumerable: true, configurable: true, writable: true });
  }
  // A subclass may have methods of its own.
  if (copy instanceof Map) {
    Map.prototype.forEach.call(value, (item, key) => copy.set(localized(key, copies), localized(item, copies)));
  } else if (copy instanceof Set) {
    Set.prototype.forEach.call(value, (item) => copy.add(localized(item, copies)));
  }
}

/** A date, an error and the like of another realm, as one of this realm. */
function localLeaf(value: object): unknown {
  if (localPrototype(value) === Object.getPrototypeOf(value)) return value;
  try {
    return structuredClone(value);
  } catch {
    // A promise, for example, equals only itself.
    return value;
  }
}

/** The prototype of the value, or where it is a built-in one of another realm, the one of this realm. */
function localPrototype(value: object): object | null {
  const prototype = Object.getPrototypeOf(value);
  const source = typeof prototype?.constructor === 'function' ? functionSource.call(prototype.constructor) : '';
  const name = /^function (\w+)\(\) \{ \[native code\] \}$/.exec(source)?.[1] ?? '';
  return (globalThis as Record<string, any>)[name]?.prototype ?? prototype;
}

const functionSource = Function.prototype.toString;
