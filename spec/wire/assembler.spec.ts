import { expect } from 'chai';
import { Assembler } from '../../lib/wire/assembler.js';
import { countingMemory } from '../support/memory.js';

/** An assembler, what it was given by its memory, and which of its chunks it copied and which it kept. */
function assembler(due: number, keepChunks = true) {
  const { memory, given } = countingMemory();
  const assembled = new Assembler(due, memory, keepChunks);
  const chunks: Uint8Array[] = [];
  const letters: number[] = [];
  const add = (length: number, buffer: ArrayBuffer = new ArrayBuffer(length), at = 0) => {
    const chunk = new Uint8Array(buffer, at, length).fill(letters.push(chunks.length + 1));
    chunks.push(chunk);
    assembled.append(chunk);
  };
  /** Goes on to the end. `c`, copied, or `k`, kept, for each chunk so far: what was kept shows what is written to it. */
  const outcome = () => {
    for (const chunk of chunks) chunk.fill(0xff);
    const rest = new Uint8Array(due - assembled.length).fill(0xee);
    assembled.append(rest);
    const message = assembled.take()!;
    let at = 0;
    return chunks
      .map((chunk, i) => {
        const part = message.subarray(at, at + chunk.length);
        at += chunk.length;
        if (part.every((byte) => byte === letters[i])) return 'c';
        return part.every((byte) => byte === 0xff) ? 'k' : '?';
      })
      .join('');
  };
  return { assembled, given, add, outcome };
}

describe('Assembler', () => {
  it('gives a small message its memory at once, and no other', () => {
    expect(assembler(1024).given).to.deep.equal([1024]);
    expect(assembler(1025).given).to.deep.equal([]);
  });

  it('gives a message its memory with its half, and not before', () => {
    const { given, add } = assembler(100_000);
    add(49_999);
    expect(given).to.deep.equal([]);
    add(1);
    expect(given).to.deep.equal([100_000]);
  });

  it('has the message with its last byte', () => {
    const { assembled, add } = assembler(2000);
    add(1999);
    expect(assembled.take()).to.equal(undefined);
    add(1);
    expect(assembled.take()).to.have.lengthOf(2000);
  });

  it('puts a message at the same place of 16 bytes as the bytes it begins with', () => {
    for (const at of [4, 20, 47]) {
      const bytes = new Uint8Array(70_000).fill(1).subarray(at);
      const message = new Assembler(70_000, countingMemory().memory, true);
      message.append(bytes.subarray(0, 60_000));
      message.append(bytes.subarray(0, 10_000));
      expect(message.take())
        .to.deep.equal(new Uint8Array(70_000).fill(1))
        .and.to.have.property('byteOffset', at % 16);
    }
  });

  it('gives a message that no more memory is for exactly its memory', () => {
    const { memory, given } = countingMemory();
    const message = new Assembler(70_000, { ...memory, maxLength: 70_000 }, true);
    message.append(new Uint8Array(70_001).subarray(1));
    expect(message.take()).to.have.property('byteOffset', 0);
    expect(given).to.deep.equal([70_000]);
  });

  it('gives a message exactly its memory where chunks are not to be kept', () => {
    const message = new Assembler(70_000, countingMemory().memory, false);
    message.append(new Uint8Array(70_004).subarray(4));
    expect(message.take()!.buffer.byteLength).to.equal(70_000);
  });

  it('keeps large chunks, and copies small ones', () => {
    const { add, outcome } = assembler(1_000_000);
    for (const length of [4095, 4096, 100, 8192]) add(length);
    expect(outcome()).to.equal('ckck');
  });

  it('copies all where it is not to keep any', () => {
    const { add, outcome } = assembler(1_000_000, false);
    for (const length of [4095, 4096, 100, 8192, 65_536]) add(length);
    expect(outcome()).to.equal('ccccc');
  });

  it('copies a large chunk where there is room for it', () => {
    const { add, given, outcome } = assembler(10_000_000);
    for (let i = 0; i < 9; i++) add(1000);
    // Blocks of 1,000, 1,000, 2,000 and 4,000 bytes are full; there are 7,000 more bytes in the last, of 8,000.
    const blocks = given.reduce((sum, length) => sum + length, 0);
    add(blocks - 9000);
    add(4096);
    expect(given.reduce((sum, length) => sum + length, 0)).to.equal(blocks);
    expect(outcome()).to.match(/^c{9}[ck]k$/);
    const again = assembler(10_000_000);
    for (let i = 0; i < 20; i++) again.add(1000);
    const room = again.given.reduce((sum, length) => sum + length, 0) - 20_000;
    expect(room).to.be.above(4096);
    again.add(room);
    expect(again.outcome()).to.equal('c'.repeat(21));
  });

  it('keeps views of one memory, and counts that once', () => {
    const { add, given, outcome } = assembler(10_000_000);
    const buffer = new ArrayBuffer(49_152);
    for (let i = 0; i < 12; i++) add(4096, buffer, i * 4096);
    expect(given).to.deep.equal([]);
    expect(outcome()).to.equal('k'.repeat(12));
  });

  it('counts that once also with a small chunk in between', () => {
    const { add, outcome } = assembler(10_000_000);
    const buffer = new ArrayBuffer(50_000);
    add(4096, buffer);
    add(10);
    add(4096, buffer, 4096);
    expect(outcome()).to.equal('kck');
  });

  it('allocates little where all that may be held is', () => {
    const { add, given } = assembler(10_000_000);
    add(4096, new ArrayBuffer(57_344));
    add(1);
    expect(given).to.deep.equal([128]);
  });

  it('copies views of memory that is much larger than they are', () => {
    const { add, outcome } = assembler(10_000_000);
    for (let i = 0; i < 12; i++) add(4096, new ArrayBuffer(40_960));
    expect(outcome()).to.equal('kccccccckccc');
    const larger = assembler(10_000_000);
    larger.add(4096, new ArrayBuffer(57_345));
    expect(larger.outcome()).to.equal('c');
    const justRight = assembler(10_000_000);
    justRight.add(4096, new ArrayBuffer(57_344));
    expect(justRight.outcome()).to.equal('k');
  });

  it('holds no more than twice what came and 64 KiB, whatever comes', () => {
    const sizes = [4096, 1, 300, 65_536, 5000, 2, 4095];
    const { add, given, assembled, outcome } = assembler(10_000_000);
    let kept = 0;
    for (let i = 0; assembled.length < 900_000; i++) {
      const size = sizes[i % sizes.length]!;
      kept += size >= 4096 ? size : 0;
      add(size);
      const held = given.reduce((sum, length) => sum + length, 0);
      expect(held).to.be.at.most(2 * assembled.length + 65_536);
    }
    expect(kept).to.be.above(0);
    expect(outcome()).to.match(/^[ck]+$/);
  });
});
