import { once } from 'node:events';
import { expect } from 'chai';
import { type FormatOptions, LengthPrefixDecoder } from '../../lib/index.js';
import { FrameParser } from '../../lib/wire/parser.js';
import { decode, encode, fromHex, thrownBy } from '../support/streams.js';

const cafe: FormatOptions = { lengthField: 'uint8', lengthFieldOffset: 2, header: fromHex('ca fe 00') };

/** What a parser says of bytes whose end has not come. */
function faultOf(text: string, options: FormatOptions): Error & { code?: string } {
  const parser = new FrameParser(options);
  parser.push(fromHex(text));
  const error = thrownBy(() => parser.next());
  expect(error).to.include({ name: 'FrameError', code: 'ERR_FRAME_CORRUPT', position: 0 });
  expect(thrownBy(() => parser.next()).message).to.equal(error.message);
  expect(parser.rest()).to.deep.equal(new Uint8Array(fromHex(text)));
  return error;
}

describe('a header that is given', () => {
  it('is checked, and its length field is not', async () => {
    const { items, error } = await decode([fromHex('ca fe 01 61 ca fe 00 ca fd 01 62')], cafe);
    expect(items.map(String)).to.deep.equal(['a', '']);
    expect(error).to.include({ code: 'ERR_FRAME_CORRUPT', position: 7 });
    expect(error!.message).to.equal('Frame at byte 7: the header is ca fd, and must be ca fe');
    expect((await decode([fromHex('ca fe 01 61')], { ...cafe, header: fromHex('ca fe ff') })).items).to.have.lengthOf(
      1,
    );
  });

  it('is not checked where none is given', async () => {
    const { header: _, ...free } = cafe;
    expect((await decode([fromHex('12 34 01 61')], free)).items.map(String)).to.deep.equal(['a']);
  });

  it('is compared as it arrives, before the length', async () => {
    expect(faultOf('c0', cafe).message).to.include('the header is c0, and must be ca fe');
    expect(faultOf('ca ff', cafe).message).to.include('the header is ca ff, and must be ca fe');
    // A length over the limit, and one that is negative.
    expect(faultOf('ca ff 09', { ...cafe, maxPayloadLength: 8 }).message).to.include('header');
    expect(faultOf('ca ff 00', { ...cafe, lengthAdjustment: -1 }).message).to.include('header');
    const decoder = new LengthPrefixDecoder(cafe);
    decoder.write(fromHex('ca'));
    decoder.write(fromHex('ff'));
    decoder.resume();
    const [error] = await once(decoder, 'error');
    expect(error.message).to.equal('Frame at byte 0: the header is ca ff, and must be ca fe');
  });

  it('names a protocol that the bytes look like', () => {
    expect(faultOf('47455420 2f', cafe).message).to.match(/the header is 47 45, and must be ca fe; .*"GET ".*HTTP$/);
  });

  it('is compared behind the length before anything is handed out', () => {
    const options: FormatOptions = { lengthField: 'uint8', initialBytesToStrip: 3, header: fromHex('00 ca fe') };
    expect(faultOf('05 ca ff', options).message).to.equal(
      'Frame at byte 0: the header from byte 1 on is ca ff, and must be ca fe',
    );
    expect(faultOf('05 00', options).message).to.include('from byte 1 on is 00, and must be ca fe');
    const parser = new FrameParser(options);
    parser.push(fromHex('05 ca'));
    expect(parser.next()).to.equal(undefined);
    parser.push(fromHex('fd'));
    expect(() => parser.nextLength()).to.throw('from byte 2 on is fd, and must be fe');
    expect(Buffer.from(parser.rest()).toString('hex')).to.equal('05cafd');
  });

  it('may be longer than an error shows: the first byte that is another is shown', () => {
    const header = Buffer.alloc(41, 1);
    const options: FormatOptions = { lengthField: 'uint8', lengthFieldOffset: 40, header };
    const found = Buffer.alloc(40, 1);
    found[30] = 2;
    expect(faultOf(found.toString('hex'), options).message).to.match(
      /the header from byte 30 on is 02( 01){9}, and must be 01( 01){9}/,
    );
  });

  it('is checked in what a message keeps only as far as it is stripped', async () => {
    const options: FormatOptions = { ...cafe, initialBytesToStrip: 1, header: fromHex('ca') };
    expect((await decode([fromHex('ca 12 01 61')], options)).items).to.deep.equal([fromHex('12 01 61')]);
    expect((await decode([fromHex('cb fe 01 61')], options)).error!.message).to.include('is cb, and must be ca');
  });

  it('is checked of frames that are passed over', async () => {
    const both: FormatOptions = {
      lengthField: 'uint8',
      lengthFieldOffset: 1,
      initialBytesToStrip: 3,
      header: fromHex('ca 00 fe'),
      maxPayloadLength: 2,
    };
    const wires: [string, string[], string | undefined][] = [
      ['ca 02 fe 61 ca 03 fe 62 62 ca 02 fe 63', ['a', 'c'], undefined],
      ['ca 02 fe 61 cb 03 fe 62 62 ca 02 fe 63', ['a'], 'the header is cb, and must be ca'],
      ['ca 02 fe 61 ca 03 ff 62 62 ca 02 fe 63', ['a'], 'from byte 2 on is ff, and must be fe'],
    ];
    for (const [wire, messages, message] of wires) {
      const whole = fromHex(wire);
      for (const chunks of [[whole], Array.from(whole, (byte) => Buffer.of(byte))]) {
        const options = { ...both, oversize: 'skip' as const };
        const { items, error } = await decode(chunks, options);
        expect(items.map(String)).to.deep.equal(messages);
        if (message === undefined) expect(error).to.equal(undefined);
        else expect(error).to.include({ position: 4 }).and.have.property('message').that.includes(message);
      }
    }
  });

  it('that was given is not changed by who gave it', async () => {
    const options = { ...cafe, header: fromHex('ca fe 00'), headerMask: fromHex('ff ff ff') };
    const decoder = new LengthPrefixDecoder(options);
    options.header.fill(0);
    options.headerMask.fill(0);
    decoder.end(fromHex('ca fe 01 61'));
    expect((await decoder.toArray()).map(String)).to.deep.equal(['a']);
    const other = new FrameParser({ ...cafe, headerMask: fromHex('ff 00 ff') });
    other.push(fromHex('ca 00 00'));
    expect(other.next()).to.have.lengthOf(0);
  });
});

describe('headerMask', () => {
  const flags: FormatOptions = { ...cafe, headerMask: fromHex('ff 01 00') };

  it('exempts the bits that are 0', async () => {
    for (const byte of ['00', 'fe', '80']) {
      expect((await decode([fromHex(`ca ${byte} 01 61`)], flags)).items.map(String)).to.deep.equal(['a']);
    }
    expect(await encode(['a'], flags)).to.deep.equal(fromHex('ca fe 01 61'));
    expect(faultOf('ca 83', flags).message).to.equal(
      'Frame at byte 0: the header is ca 83, and must be ca fe, in the bits that are 1 in ff 01',
    );
  });

  it('of ones is as none, of zeros as no header', async () => {
    expect(faultOf('ca ff', { ...cafe, headerMask: fromHex('ff ff ff') }).message).to.include('in ff ff');
    const free = { ...cafe, headerMask: Buffer.alloc(3) };
    expect((await decode([fromHex('12 34 01 61')], free)).items.map(String)).to.deep.equal(['a']);
  });
});
