// Byte-pair merges (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909).

// Symbols merged, the lowest rank first; of equal ranks the leftmost.
export function mergedPieces(symbols, ranks) {
  const pieces = symbols.slice();
  const rankAt = (i) => ranks.get(`${pieces[i]} ${pieces[i + 1]}`) ?? Infinity;
  const found = pieces.map((_, i) => (i + 1 < pieces.length ? rankAt(i) : Infinity));
  for (;;) {
    let [best, at] = [Infinity, -1];
    for (let i = 0; i < found.length; i += 1) if (found[i] < best) [best, at] = [found[i], i];
    if (at < 0) return pieces;
    pieces.splice(at, 2, pieces[at] + pieces[at + 1]);
    found.splice(at, 1);
    if (at > 0) found[at - 1] = rankAt(at - 1);
    found[at] = at + 1 < pieces.length ? rankAt(at) : Infinity;
  }
}
