// A unigram model (Kudo 2018, https://arxiv.org/abs/1804.10959): the likeliest pieces of a word.

// Scores by piece, and how long a piece is at most.
export function unigramModel(vocabulary) {
  const scores = new Map(vocabulary);
  return { scores, longest: Math.max(...vocabulary.map(([piece]) => piece.length)) };
}

// Viterbi over the pieces that end at each symbol; of equal scores the first found.
export function likeliestPieces(symbols, { scores, longest }) {
  const text = symbols.join("");
  const best = new Float64Array(text.length + 1).fill(-Infinity);
  const from = new Int32Array(text.length + 1);
  best[0] = 0;
  for (let start = 0; start < text.length; start += 1) {
    const most = Math.min(text.length, start + longest);
    for (let end = start + 1; end <= most; end += 1) {
      const score = scores.get(text.slice(start, end));
      if (score !== undefined && best[start] + score > best[end]) {
        best[end] = best[start] + score;
        from[end] = start;
      }
    }
  }
  const pieces = [];
  for (let end = text.length; end > 0; end = from[end]) pieces.unshift(text.slice(from[end], end));
  return pieces;
}
