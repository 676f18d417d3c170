import assert = require('node:assert/strict');
import lengthPrefix = require('length-prefix');

// A CommonJS program, compiled and run.

const decoder = new lengthPrefix.LengthPrefixDecoder(lengthPrefix.text);
decoder.on('data', (line) => {
  assert.equal(line.toUpperCase(), 'HELLO');
  console.log('all as declared');
});
const encoder = new lengthPrefix.LengthPrefixEncoder(lengthPrefix.text);
encoder.pipe(decoder);
encoder.end('hello');
