/** The names that users import, by topic: on the first page of the reference, and on the page of each module. */
import { ReflectionKind } from 'typedoc';

/** In the order of the reference. */
const namesOf = {
  Streams: [
    ...['framed', 'Framed', 'ByteStream', 'LengthPrefixDecoder', 'LengthPrefixEncoder'],
    ...['LengthPrefixDecoderStream', 'LengthPrefixEncoderStream'],
    ...['MessageDuplex', 'MessageTransform', 'MessageReadable'],
  ],
  Functions: ['decode', 'encode', 'withFormat', 'Decode', 'Encode'],
  'Parser and builder': ['FrameParser', 'FrameBuilder', 'buffers', 'uint8Arrays', 'Memory', 'Bytes', 'ByteChunk'],
  Options: [
    ...['FramedOptions', 'LengthPrefixDecoderOptions', 'LengthPrefixEncoderOptions'],
    ...['LengthPrefixDecoderStreamOptions', 'LengthPrefixEncoderStreamOptions'],
    ...['FormatOptions', 'DecodingOptions', 'EncodingOptions', 'StreamOptions', 'CloseOptions'],
  ],
  Formats: ['formats', 'LengthFieldName', 'FixedLengthFieldName', 'LengthField', 'LengthRead', 'Checksum'],
  Values: ['json', 'text', 'Codec'],
  Messages: ['Message', 'MessagePart', 'MessageSource', 'Body', 'WebBody', 'Decoded', 'StreamedMessage'],
  Errors: ['FrameError', 'FrameErrorCode'],
  'Chunk boundaries': [
    ...['checkAnyCut', 'CheckOptions', 'CutsTried', 'CutError', 'AnyDecoder', 'Decoding', 'NodeStream', 'WebStreams'],
    ...['anyCut', 'CutOptions', 'Boundaries', 'anyFormat', 'anyMessages', 'Recut', 'RecutOptions'],
  ],
};

export const topics = Object.keys(namesOf);

/** The topic of a name. Undefined where it has none. */
export function topicOf(name) {
  return topics.find((topic) => namesOf[topic].includes(name));
}

/** Puts the names of a topic in its order. */
export function sortGroups({ groups }) {
  for (const { title, children } of groups) {
    children.sort((a, b) => namesOf[title].indexOf(a.name) - namesOf[title].indexOf(b.name));
  }
}

/** The first sentence of a docstring. */
function summaryOf(reflection) {
  const comment = reflection.comment ?? reflection.signatures?.[0].comment;
  const text = comment?.summary.map((part) => part.text).join('') ?? '';
  const [sentence] = text.replace(/\s+/g, ' ').match(/^.*?[.:](?= |$)|$/);
  return sentence.replace(/:$/, '.').replaceAll('|', '\\|');
}

/** A list of all names: a topic at a time, each with what it is, and its module. */
export function overviewOf(modules) {
  const parts = [];
  const add = (text) => parts.push({ kind: 'text', text });
  add('\n## Reference\n\nAll names by topic. Those that several modules have are named once.\n');
  for (const topic of topics) {
    add(`\n### ${topic}\n\n| name | | module |\n| --- | --- | --- |\n`);
    for (const module of modules) {
      for (const child of module.groups.find(({ title }) => title === topic)?.children ?? []) {
        if (child.kindOf(ReflectionKind.Reference)) continue;
        add('| ');
        parts.push({ kind: 'inline-tag', tag: '@link', text: child.name, target: child });
        add(` | ${summaryOf(child)} | \`${module.name}\` |\n`);
      }
    }
  }
  return parts;
}
