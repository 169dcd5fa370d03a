// A question of a page's exercises: the reader types a number and learns whether it is right, and why.
// Its `check` attribute is made by src/penstock/learn/exercise_table.py.
"use strict";

(() => {
  const WORDS = {
    en: {
      field: "your answer",
      check: "Check",
      right: "Right. ",
      wrong: "Not right. ",
      other: "Try it with smaller numbers, by hand.",
      number: "Type a number, such as 0.25 or 1/4.",
    },
    zh: {
      field: "你的答案",
      check: "检查",
      right: "对。",
      wrong: "不对。",
      other: "先用更小的数手算一遍。",
      number: "请输入一个数，例如 0.25 或 1/4。",
    },
  };

  // A number from what is typed: 1,024, 1/4, −2, 5e-3; NaN if it is none.
  function read(text) {
    const plain = text.trim().replace(/[\u2212\uff0d]/g, "-").replace(/\uff0e/g, ".").replace(/(?<=\d),(?=\d{3}(?!\d))/g, "");
    const parts = plain.split("/").map((part) => (part.trim() ? Number(part) : NaN));
    return parts.length > 2 ? NaN : parts.reduce((a, b) => a / b);
  }

  // Whether a text answers the question, and what to say.
  function judge({ answer, why, mistakes, tolerance }, text, words = WORDS.en) {
    const number = read(text);
    if (!Number.isFinite(number)) return { right: false, said: words.number };
    const near = (other) => Math.abs(number - other) <= tolerance;
    if (near(answer)) return { right: true, said: words.right + why };
    const found = mistakes.find(([wrong]) => near(wrong));
    return { right: false, said: words.wrong + (found ? found[1] : words.other) };
  }

  if (typeof module !== "undefined") {
    module.exports = { judge, read };
    return;
  }

  const { Figure, button, labelled, make, textField } = window.live;

  customElements.define("live-question", class extends Figure {
    static WORDS = WORDS;

    build(words) {
      const check = JSON.parse(this.getAttribute("check"));
      const found = make("p", { role: "status" });
      const tell = () => {
        const { right, said } = judge(check, field.value, words);
        found.textContent = said;
        found.className = right ? "live-right" : "live-wrong";
      };
      const field = textField("", () => (found.textContent = ""), { inputMode: "text", onkeydown: ({ key }) => key === "Enter" && tell() });
      const line = labelled(words.field, field);
      line.append(button(words.check, tell));
      return [line, found];
    }

    show() {}
  });
})();
