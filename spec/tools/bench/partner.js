/** Another process that has a role, for as long as the one lives that started it. */
import { roles } from './roles.js';

const [role, ...args] = JSON.parse(process.argv[2]);
const work = await roles[role](...args);
process.on('message', async ({ request }) => process.send({ reply: await work(request) }));
process.on('disconnect', () => process.exit());
process.send('ready');
