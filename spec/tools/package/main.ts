/** `npm run test:package`: packs the package and looks at it as npm, bundlers, compilers and programs do. */
import './contents.js';
import './rules.js';
import './consumers.js';
import './types.js';
import './runners.js';
import './command.js';
import './size.js';
import { describeBrowserEntry } from './browser.js';

describeBrowserEntry('length-prefix/web', 62_000);
