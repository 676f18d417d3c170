import { type Format, type FormatOptions, formatOf } from './format.js';
import { checkKnown } from './options.js';

/** A message, or a value, and the format that holds from it on. */
export class WithFormat {
  readonly format: Format;
  readonly message: any;

  constructor(format: Format, message: unknown) {
    this.format = format;
    this.message = message;
  }
}

/**
 * Gives a message, or a value, to write, with which another wire format begins. The format holds for this message and for
 * all that are written behind it, also through queues and pipes. Other options, such as `encode`, stay as they are.
 *
 * ```ts
 * encoder.write(startup);
 * encoder.write(withFormat(formats.postgres, query));
 * ```
 *
 * The other end follows with the option `formatAfter`. The result can only be written, once: it is not the message itself.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 * @throws {RangeError} `ERR_OUT_OF_RANGE`
 */
export function withFormat<const T>(options: FormatOptions, message: T): T {
  checkKnown(options);
  return new WithFormat(formatOf(options), message) as unknown as T;
}

/** The message without its format. */
export function messageOf(message: any): any {
  return message instanceof WithFormat ? message.message : message;
}
