/** Reads back what --json has written, and pcap files. */

import { openings } from './conversation.js';
import { formatOf } from './format.js';
import type { Place } from './json-lines.js';
import { refuseRaw, type Values, wholeNumber } from './options.js';
import { isPcap, Order, segmentsOf } from './pcap-reader.js';
import type { Printer } from './printer.js';
import { type Setting, Watcher } from './watcher.js';

/** How each line of it begins. */
const BEGIN = '{"time":"';

interface Capture {
  /** Prints the messages in it. */
  show(values: Values, printer: Printer): Promise<void>;
}

/** Tells what --json has written from the bytes of a wire, by its first ones. The source has all bytes still. */
export async function captureOf(
  source: AsyncGenerator<Buffer>,
): Promise<{ capture: Capture | undefined; source: AsyncIterable<Buffer> }> {
  const first: Buffer[] = [];
  let length = 0;
  while (length < BEGIN.length) {
    const { done, value } = await source.next();
    if (done) break;
    first.push(value);
    length += value.length;
  }
  async function* all() {
    yield* first;
    yield* source;
  }
  const begin = Buffer.concat(first);
  const isRecords = begin.subarray(0, BEGIN.length).toString('latin1') === BEGIN;
  const shower = isPcap(begin) ? showPackets : isRecords ? showRecords : undefined;
  const capture = shower && { show: (values: Values, printer: Printer) => shower(all(), values, printer) };
  return { capture, source: all() };
}

async function showRecords(source: AsyncIterable<Buffer>, values: Values, printer: Printer): Promise<void> {
  let left = wholeNumber(values, 'count', 1) ?? Number.POSITIVE_INFINITY;
  let number = 0;
  let begin: number | undefined;
  for await (const line of linesOf(source)) {
    if (left === 0 || printer.output.lost !== undefined) return;
    number++;
    try {
      const record = JSON.parse(line);
      const time = Date.parse(record.time);
      begin ??= time;
      if (showRecord(record, { time: record.time, ms: time - begin }, values, printer)) left--;
    } catch (error) {
      throw new Error(`Line ${number} of the capture can't be shown: ${(error as Error).message}`);
    }
    await printer.ready();
  }
}

/** Returns whether it is a message. */
function showRecord(record: any, at: Place['at'], values: Values, printer: Printer): boolean {
  const { event, connection, direction, position, type, length, truncated, incomplete } = record;
  const place = { connection, direction, at };
  if (event !== undefined) {
    const { time: _, event: __, connection: ___, direction: ____, ...fields } = record;
    printer.event(place, event, fields);
    return false;
  }
  if (truncated && values.raw) {
    const reason = incomplete ? 'the input ended inside it' : '--bytes was too small';
    throw new Error(`it has a part of a message of ${length} bytes (${reason})`);
  }
  const { text, hex, base64 } = record;
  const bytes =
    text === undefined ? Buffer.from(hex ?? base64, hex === undefined ? 'base64' : 'hex') : Buffer.from(text);
  printer.message(place, { position, type, length, bytes, isIncomplete: incomplete });
  return true;
}

/** One direction of a connection in packets. */
interface Way {
  readonly order: Order;
  readonly watcher: Watcher;
}

/** Prints what crossed in the connections of a pcap file, as a tap does. */
async function showPackets(source: AsyncIterable<Buffer>, values: Values, printer: Printer): Promise<void> {
  refuseRaw(values);
  /** The first one, which is told in its place. */
  let fault: unknown;
  const setting: Setting = {
    format: formatOf(values),
    openings: openings[String(values.format)] ?? {},
    printer,
    rest: 'All that follows in this direction is not decoded',
    onFault(error) {
      fault ??= error;
    },
    left: wholeNumber(values, 'count', 1) ?? Number.POSITIVE_INFINITY,
    onLast() {},
  };
  const ways = new Map<string, Way>();
  let connections = 0;
  let begin: number | undefined;
  for await (const segment of segmentsOf(source)) {
    const { from, to, time } = segment;
    begin ??= time;
    const at = { time: new Date(time).toISOString(), ms: time - begin };
    if (!ways.has(`${from} ${to}`)) {
      // The client is the one that is heard first.
      const connection = ++connections;
      printer.event({ connection, at }, 'open', { address: from });
      ways.set(`${from} ${to}`, { order: new Order(), watcher: new Watcher(setting, connection, '->') });
      ways.set(`${to} ${from}`, { order: new Order(), watcher: new Watcher(setting, connection, '<-') });
    }
    const { order, watcher } = ways.get(`${from} ${to}`)!;
    for (const bytes of order.add(segment)) watcher.take(bytes, at);
    await printer.ready();
    if (setting.left === 0 || printer.output.lost !== undefined) return;
  }
  for (const { order, watcher } of ways.values()) {
    if (order.isBroken) {
      const error = new Error('A packet is not in the capture: nothing behind it is shown');
      watcher.error(error);
      setting.onFault(error);
    }
    watcher.end(true);
  }
  if (fault === undefined) return;
  await printer.end();
  throw Object.assign(fault as Error, { isTold: true });
}

async function* linesOf(source: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  for await (const chunk of source) {
    let at = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, at)) {
      yield Buffer.concat([...parts, chunk.subarray(at, end)]).toString();
      parts = [];
      at = end + 1;
    }
    parts.push(chunk.subarray(at));
  }
  const last = Buffer.concat(parts);
  if (last.length > 0) yield last.toString();
}
