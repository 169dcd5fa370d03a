// A plain panel for models that do something else: labels, blanks, running text.

import { bar, fill, make } from "./dom.js";
import { showError } from "./messages.js";
import { percent } from "./pieces.js";
import { ask, eventsOf } from "./service.js";
import { say } from "./strings.js";

const TASKS = { classifiers: "classify", fillers: "fill", generators: "generate" };

export function tasksView(section, place) {
  let offered = null;

  function redraw() {
    const panels = [];
    for (const [list, task] of Object.entries(TASKS)) {
      const models = offered?.[list] ?? [];
      if (models.length > 0) panels.push(taskPanel(task, models));
    }
    section.hidden = panels.length === 0;
    fill(place, panels);
  }

  return {
    open(models) {
      offered = models;
      redraw();
    },
    redraw,
  };
}

function taskPanel(task, models) {
  const id = `task-${task}`;
  const field = make("textarea", { id, rows: 2, dir: "auto", placeholder: say(`${task}Hint`) });
  const choice = make(
    "select",
    { "aria-label": say("model") },
    models.map(({ name }) => make("option", { value: name }, name)),
  );
  const result = make("div", { class: "panel", "aria-live": "polite" });
  const button = make("button", { type: "submit" }, say(`${task}Button`));
  let controller = null;
  const run = async () => {
    controller?.abort();
    controller = new AbortController();
    const mine = controller;
    result.setAttribute("aria-busy", "true");
    try {
      await RUNNERS[task](field.value, choice.value, result, mine.signal);
    } catch (error) {
      if (mine === controller) showError(result, error, run);
    }
    if (mine === controller) result.removeAttribute("aria-busy");
  };
  const submit = (event) => {
    event.preventDefault();
    run();
  };
  return make(
    "form",
    { class: "task", submit },
    make("label", { for: id }, say(`${task}Title`)),
    field,
    make("div", { class: "toolbar" }, models.length > 1 ? choice : null, button),
    result,
  );
}

const RUNNERS = {
  async classify(text, model, result, signal) {
    const answer = await ask("/v1/classify", { body: { texts: text, model }, signal });
    const [{ probabilities }] = firstList(answer);
    const ranked = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
    fill(result, rankedShares(ranked));
  },
  async fill(text, model, result, signal) {
    const answer = await ask("/v1/fill", { body: { texts: text, model, n_best: 5 }, signal });
    const [filled] = firstList(answer);
    const blanks = filled.blanks.map((blank) =>
      rankedShares(blank.map(({ token, probability }) => [token, probability])),
    );
    fill(result, make("p", { class: "words", dir: "auto" }, filled.text), blanks);
  },
  async generate(prompt, model, result, signal) {
    const written = make("p", { class: "words written", dir: "auto" }, prompt);
    fill(result, written);
    for await (const { event, data } of eventsOf("/v1/generate", { body: { prompt, model }, signal })) {
      if (event === "done") return;
      if (event === "message") written.append(JSON.parse(data).text);
    }
  },
};

// The answers of one kind of task stand in the only list of the object.
function firstList(answer) {
  return Object.values(answer).find(Array.isArray);
}

function rankedShares(pairs) {
  return make(
    "ol",
    { class: "ranked" },
    pairs.slice(0, 10).map(([name, share], index) =>
      make(
        "li",
        { class: index === 0 ? "chosen" : null },
        make("span", { class: "words", dir: "auto" }, name),
        make("span", { class: "figures" }, bar(share), make("span", {}, percent(share))),
      ),
    ),
  );
}
