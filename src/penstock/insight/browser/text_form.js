// What happens to text before a tokenizer splits it: its Unicode form and its letter case.
// Penstock's text/unicode_form.py and letter_case.py.

import { LETTER, WORD } from "./characters.js";

const FEW_LETTERS = 4; // fewer, as in `USA`, say nothing of a line
const WORDS = new RegExp(`${LETTER}(?:${WORD}|['’])*`, "gu");

export class TextForm {
  constructor({ unicode = null, case: letterCase = null } = {}) {
    Object.assign(this, { unicode, letterCase });
    this.forms = new Map(letterCase?.forms.map((form) => [this.lower(form), form]));
  }

  // A text in the form that the model reads.
  apply(text) {
    const form = this.unicode?.model ?? "none";
    return form === "none" ? text : text.normalize(form);
  }

  // The model's text in the form of the training text.
  undo(text) {
    const { model = "none", text: form, excluded } = this.unicode ?? {};
    if (model === "none" || model === "NFKC") return text;
    const written = text.normalize(form);
    return form === "NFC" ? excluded.reduce((all, [a, b]) => all.replaceAll(a, b), written) : written;
  }

  // A line in the case of the training text, and whether its output is to be in capitals.
  read(text) {
    const own = this.letterCase;
    const [hasCapitals, hasSmall] = [text.toLowerCase() !== text, text.toUpperCase() !== text];
    if (!own || (own.reads === "keep" && hasCapitals === hasSmall)) return { text, capitals: false };
    const isLine = (text.match(/[\p{Uppercase}\p{Lowercase}]/gu) ?? []).length >= FEW_LETTERS;
    const isUnlike = own.unlike.includes(hasCapitals ? "capitals" : "small");
    let read = text;
    if (own.reads === "lower") read = this.lower(text);
    else if (own.reads === "upper") read = this.upper(text);
    else if (isUnlike && isLine) read = this.sentence(this.lower(text));
    else return { text, capitals: false };
    return { text: read, capitals: own.restores && isLine && hasCapitals && !hasSmall };
  }

  // Words that usually have capitals get them, and the first letter where lines begin with one.
  sentence(lower) {
    const text = lower.replace(WORDS, (word) => this.forms.get(word) ?? word);
    return this.letterCase.initial ? text.replace(/\p{L}/u, (letter) => this.upper(letter)) : text;
  }

  lower(text) {
    const dotted = this.letterCase?.dotless ? text.replaceAll("I", "ı").replaceAll("İ", "i") : text;
    return dotted.toLowerCase();
  }

  upper(text) {
    const dotted = this.letterCase?.dotless ? text.replaceAll("i", "İ").replaceAll("ı", "I") : text;
    return dotted.toUpperCase();
  }
}
