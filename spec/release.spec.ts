import { expect } from 'chai';
import { notesOf, released } from './tools/release.js';

const changelog = `# Changelog

Changes that users notice.

## [Unreleased]

### Added

- \`batch\`.

## [1.10.0] - 2026-02-03

- Something [else](README.md).

## [1.1.0] - 2026-01-02

### Changed

- One thing.
`;

describe('a release', () => {
  it("has the changelog's section of its version as its notes", () => {
    expect(notesOf(changelog, '1.1.0')).to.equal('### Changed\n\n- One thing.');
    expect(notesOf(changelog, '1.10.0')).to.equal('- Something [else](README.md).');
    expect(notesOf(changelog, 'Unreleased')).to.equal('### Added\n\n- `batch`.');
  });

  it('is all that was unreleased, with its version and date', () => {
    const after = released(changelog, '1.11.0', '2026-03-04');
    expect(after).to.include('## [Unreleased]\n\n## [1.11.0] - 2026-03-04\n\n### Added\n\n- `batch`.\n');
    expect(notesOf(after, '1.11.0')).to.equal(notesOf(changelog, 'Unreleased'));
    expect(notesOf(after, '1.10.0')).to.equal(notesOf(changelog, '1.10.0'));
  });

  it('is refused where the changelog says nothing of it, or has it already', () => {
    expect(() => notesOf(changelog, '1.1')).to.throw('nothing under ## [1.1]');
    const after = released(changelog, '1.11.0', '2026-03-04');
    expect(() => released(after, '1.12.0', '2026-03-05')).to.throw('nothing under ## [Unreleased]');
    expect(() => released(changelog, '1.10.0', '2026-03-05')).to.throw('has a section ## [1.10.0] already');
  });
});
