// Text as Python sees it: white space, lines, letters. JavaScript's `\s` and `trim` differ.

const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const OUTER_SPACE = new RegExp(`^([${SPACE}]*)(.*?)([${SPACE}]*)$`, "su");
const SPACES = new RegExp(`[${SPACE}]+`, "u");
const BLANK = new RegExp(`^[${SPACE}\\p{Cc}\\p{Cf}]*$`, "u");
const SENTENCE_END = new RegExp(`(?<=[.!?…。！？])[${SPACE}]+`, "u");
const LINE_ENDS = /[\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029]/g;

export function stripped(text) {
  return OUTER_SPACE.exec(text)[2];
}

export function wordsOf(text) {
  return text.split(SPACES).filter((word) => word !== "");
}

export function isBlank(line) {
  return BLANK.test(line);
}

// The white space around a line's text, without line ends.
export function outerSpace(line) {
  const [, before, text, behind] = OUTER_SPACE.exec(line);
  return text ? [before, behind].map((space) => space.replace(LINE_ENDS, "")) : ["", ""];
}

// Half a character, which no tokenizer can read, becomes U+FFFD.
export function wellFormed(text) {
  return text.replace(/\p{Cs}/gu, "\ufffd");
}

// Cut a long line at sentence ends, then at spaces, then anywhere, into segments that fit.
export function* cutToFit(line, fits) {
  for (const sentence of line.split(SENTENCE_END)) {
    const words = fits(sentence) ? [sentence] : wordsOf(sentence);
    let piece = "";
    for (const word of words) {
      let longer = piece ? `${piece} ${word}` : word;
      if (piece && !fits(longer)) {
        yield* halves([...piece], fits);
        longer = word;
      }
      piece = longer;
    }
    if (stripped(piece)) yield* halves([...piece], fits);
  }
}

function* halves(characters, fits) {
  const text = characters.join("");
  if (characters.length === 1 || fits(text)) {
    yield text;
    return;
  }
  const middle = Math.floor(characters.length / 2);
  yield* halves(characters.slice(0, middle), fits);
  yield* halves(characters.slice(middle), fits);
}

const INVISIBLE = /[\u200b\ufeff\u2060\u00ad]/gu;
const SPACE_SEPARATOR = /\p{Zs}/gu;
export const LETTER = "[\\p{L}\\p{No}\\p{Nl}]"; // Python's [^\W\d_]
export const WORD = "[\\p{L}\\p{N}_]";
const MARK = new RegExp(
  `(?<!${WORD})(?:${LETTER}\\.){2,}|(?<=\\p{Nd})[.,](?=\\p{Nd})|(?<=[^${SPACE}])([,.!?])`, "gu",
);
const EDGE = `(?<!${WORD})(?=${WORD})`; // `\b` before a letter
const SPACE_BEFORE_MARK = new RegExp(
  ` (?=[,.!?])(?!(?<=\\p{Nd} )[.,]\\p{Nd})(?!(?<=${EDGE}${LETTER} )\\.${LETTER})` +
    `(?!(?<=${EDGE}${LETTER}\\.${LETTER}\\.${LETTER} )\\.)`, "gu",
);

// The book's preprocessing, as penstock's text/normalize.py has it.
export function preprocess(text) {
  const unified = text.replace(SPACE_SEPARATOR, " ").replace(INVISIBLE, "").replaceAll("’", "'");
  const composed = unified.toLowerCase().normalize("NFC");
  return composed.replace(MARK, (match, mark) => (mark ? ` ${mark}` : match));
}

// Without the spaces that `preprocess` puts before `,.!?`.
export function rejoin(text) {
  return text.replace(SPACE_BEFORE_MARK, "");
}

// a to z in lower case; any run of other characters becomes one space, none at the ends.
export function lettersOnly(text) {
  return text.replace(/[^A-Za-z]+/g, " ").trim().toLowerCase();
}
