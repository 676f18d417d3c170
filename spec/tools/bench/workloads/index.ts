import type { Workload } from '../workload.js';
import { decodeWorkloads } from './decode.js';
import { encodeWorkload } from './encode.js';
import { idleDecodersWorkload } from './idle-decoders.js';
import { oneFrameWorkload } from './one-frame.js';
import { pingPongWorkloads } from './ping-pong.js';
import { transferWorkloads } from './transfer.js';

export const workloads: readonly Workload[] = [
  ...decodeWorkloads,
  encodeWorkload,
  ...transferWorkloads,
  ...pingPongWorkloads,
  oneFrameWorkload,
  idleDecodersWorkload,
];
