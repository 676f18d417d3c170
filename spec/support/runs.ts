/** How often a property is tried: as often as said, times `FC_SCALE`. */
export function runs(usual: number): number {
  return Math.ceil(usual * Number(process.env.FC_SCALE ?? 1));
}
